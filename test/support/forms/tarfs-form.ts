// A tree as an archive with an index of tarfs behind it.
import { writeTarfs, type IndexedFile } from '../tarfs-writer.js';
import { fullMode, type TreeFile } from './tree-files.js';

export function writeTarfsForm(files: readonly TreeFile[]): Buffer {
  return writeTarfs(files.map(indexedFileOf)).bytes;
}

function indexedFileOf(file: TreeFile): IndexedFile {
  const { path, sameAs, bytes, target, rdev, uid, gid, mtime } = file;
  const mode = fullMode(file);
  if (sameAs !== undefined) return { path, mode, linkTo: sameAs };
  return {
    path,
    mode,
    uid,
    gid,
    mtime,
    ...(bytes && { bytes }),
    ...(target !== null && { link: target }),
    ...(rdev && { rdev }),
  };
}
