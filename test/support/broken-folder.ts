// A folder of an image that a damaged file system could show: one file cannot be looked at, and one is the folder itself.
import { OverlaybdError } from '../../daemon/errors.js';
import type { ImageFile } from '../../daemon/files/image-file.js';

/** @param root has the file x, and attributes for the folder */
export function brokenFolder(root: ImageFile): ImageFile {
  const broken: ImageFile = {
    inode: 1,
    stat: () => root.stat(),
    names: () => Promise.resolve(['bad', 'self', 'x']),
    child: (name) => {
      if (name === 'bad') return Promise.reject(new OverlaybdError('IO', 'bad inode'));
      return name === 'self' ? Promise.resolve(broken) : root.child(name);
    },
    xattrs: () => root.xattrs(),
    contents: () => root.contents(),
  };
  return broken;
}
