// Composefs images with a store of objects, for test/property and test/fuzz: the image is damaged, and the store is what it is.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Beside } from '../../daemon/image/plan/image-source.js';
import {
  fsVerity,
  objectNameOf,
  objectXattrs,
  writeComposefs,
  type ImageFile,
} from './composefs-writer.js';
import { randomBytes } from './pattern.js';

/** The image of a store with short objects. */
export const imageOfStore = writeComposefs([
  { path: '', mode: 0o040755 },
  { path: 'd', mode: 0o040755, nlink: 2 },
  ...contents().map(({ name, bytes, digest }, i): ImageFile => {
    const xattrs = objectXattrs(name, i === 0 ? null : digest);
    return { path: `d/f${i}`, mode: 0o100644, size: bytes.length, xattrs };
  }),
  { path: 'hard', mode: 0o100644, linkTo: 'd/f1' },
]).bytes;

function contents(): { name: string; bytes: Buffer; digest: Buffer }[] {
  return [700, 5000, 4096].map((size, i) => {
    const bytes = randomBytes(i, size);
    const digest = fsVerity(bytes);
    return { name: objectNameOf(digest), bytes, digest };
  });
}

/** Writes the store to a folder. @returns the option that names it */
export function writeStore(folder: string): Beside {
  const objects = join(folder, 'objects');
  for (const { name, bytes } of contents()) {
    const path = join(objects, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
  return { tocBlob: null, tocDigest: null, ztocs: [], objects };
}
