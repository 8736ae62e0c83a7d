// An ext4 as in a hostile image: its superblock asks the kernel to panic at an error, and a damaged folder causes one.
// Needs tune2fs and debugfs.
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { mustRun } from './tools.js';

const EXT_AT = 1024;

/** @param folder in the image: "/sub" */
export async function damageFolder(image: string, folder: string): Promise<void> {
  await mustRun('tune2fs', ['-e', 'panic', image]);
  const blocks = await mustRun('debugfs', ['-R', `blocks ${folder}`, image]);
  const [block = ''] = blocks.trim().split(/\s+/);
  if (!/^\d+$/.test(block)) throw new Error(`debugfs: no blocks of ${folder}: ${blocks}`);
  const size = 1024 << readFileSync(image).readUInt32LE(EXT_AT + 24);
  const fd = openSync(image, 'r+');
  // A directory entry with an invalid length.
  writeSync(fd, Buffer.alloc(size, 0xff), 0, size, Number(block) * size);
  closeSync(fd);
}
