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
    const { path, sameAs, bytes, target, rdev, uid, gid, mtime, mtimeNs, nlink } = file;
    const mode = fullMode(file);
    if (sameAs !== undefined) return { path, mode, linkTo: sameAs };
    const xattrs = Object.fromEntries(
      Object.entries(file.xattrs).map(([name, value]) => [name, Buffer.from(value, 'latin1')]),
    );
    const image = { path, mode, uid, gid, mtime, mtimeNs, nlink, xattrs };
    if (target !== null) return { ...image, inline: Buffer.from(target, 'latin1') };
    if (rdev) return { ...image, device: deviceWord(rdev) };
    if (!bytes || bytes.length <= MAX_INLINE) return { ...image, ...(bytes && { inline: bytes }) };
    const digest = fsVerity(bytes);
    const name = objectNameOf(digest);
    objects.set(name, bytes);
    return { ...image, size: bytes.length, xattrs: { ...xattrs, ...objectXattrs(name, digest) } };
  });
  return { image: writeComposefs(images).bytes, objects };
}

/** As Linux encodes a device in 32 bits. */
function deviceWord([major, minor]: readonly [number, number]): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}
