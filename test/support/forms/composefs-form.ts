// A tree as an image of composefs and its objects.
import {
  fsVerity,
  objectNameOf,
  objectXattrs,
  writeComposefs,
  type ImageFile,
} from '../composefs-writer.js';
import { fullMode, type TreeFile } from './tree-files.js';

/** Contents up to this are in the image, as mkcomposefs has it. */
const MAX_INLINE = 64;

export interface ComposefsForm {
  image: Buffer;
  /** By their names below the folder of objects. */
  objects: Map<string, Buffer>;
}

export function writeComposefsForm(files: readonly TreeFile[]): ComposefsForm {
  const objects = new Map<string, Buffer>();
  const images = files.map((file): ImageFile => {
    const image = imageFileOf(file);
    const { bytes, sameAs } = file;
    if (sameAs !== undefined || !bytes) return image;
    if (bytes.length <= MAX_INLINE) return { ...image, inline: bytes };
    const digest = fsVerity(bytes);
    const name = objectNameOf(digest);
    objects.set(name, bytes);
    const xattrs = { ...image.xattrs, ...objectXattrs(name, digest) };
    return { ...image, size: bytes.length, xattrs };
  });
  return { image: writeComposefs(images).bytes, objects };
}

/** The file without its contents. */
export function imageFileOf(file: TreeFile): ImageFile {
  const { path, sameAs, target, rdev, uid, gid, mtime, mtimeNs, nlink } = file;
  const mode = fullMode(file);
  if (sameAs !== undefined) return { path, mode, linkTo: sameAs };
  const xattrs = Object.fromEntries(
    Object.entries(file.xattrs).map(([name, value]) => [name, Buffer.from(value, 'latin1')]),
  );
  return {
    path,
    mode,
    uid,
    gid,
    mtime,
    mtimeNs,
    nlink,
    xattrs,
    ...(target !== null && { inline: Buffer.from(target, 'latin1') }),
    ...(rdev && { device: deviceWord(rdev) }),
  };
}

/** As Linux encodes a device in 32 bits. */
function deviceWord([major, minor]: readonly [number, number]): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}
