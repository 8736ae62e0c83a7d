// EROFS images with a further device, for test/property and test/fuzz: the image is damaged, and the device is what it is.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Beside } from '../../daemon/image/plan/image-source.js';
import { BLOCK, writeDevices } from './erofs-devices-writer.js';
import { randomBytes } from './pattern.js';

const BLOCKS = 8;

/** The image of a device. */
export const imageOfDevice = writeDevices(
  [
    { path: '', mode: 0o040755, xattrs: { 'user.a': 'value' } },
    { path: 'd', mode: 0o041777, uid: 70_000, nlink: 2 },
    { path: 'd/chunks', mode: 0o100644, size: 3 * BLOCK - 7, chunks: [[1, 7], null, [0, 103]] },
    { path: 'd/blocks', mode: 0o100644, size: 2 * BLOCK, block: 101, nlink: 2 },
    { path: 'hard', mode: 0o100644, linkTo: 'd/blocks' },
    { path: 'l', mode: 0o120777, inline: 'd/chunks' },
    { path: 'tail', mode: 0o100644, inline: 'contents' },
  ],
  [{ blocks: BLOCKS, firstBlock: 100 }],
).bytes;

/** Writes the device to a folder. @returns the option that names it */
export function writeDevice(folder: string): Beside {
  const blobs = join(folder, 'device');
  writeFileSync(blobs, randomBytes(1, BLOCKS * BLOCK));
  return { tocBlob: null, tocDigest: null, ztocs: [], blobs };
}
