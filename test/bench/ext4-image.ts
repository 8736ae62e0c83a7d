// Makes the raw disk image: an ext4 file system with real files, nearly full. It does not know layers.
import { spawnSync } from 'node:child_process';
import {
  constants,
  copyFileSync,
  mkdirSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { selectFiles } from './select-files.js';

export const MIB = 1 << 20;
const FIXED_UUID = '0bd0be7c-0000-4000-8000-000000000001';
/** The rest is for inodes, bitmaps, folders larger than one block, and rounding. */
const FILL = 0.94;
/** Real images have about one inode for this many bytes or more. */
const BYTES_PER_INODE = 16384;

/**
 * Copies files to a folder beside `path` and makes the image from it.
 * @param size MiB
 * @throws Error when mke2fs fails, with what it said
 */
export function makeExt4Image(path: string, size: number): void {
  const stage = `${path}.stage`;
  rmSync(stage, { recursive: true, force: true });
  const { files } = selectFiles(size * MIB * FILL);
  for (const file of files) {
    const copy = join(stage, file);
    mkdirSync(dirname(copy), { recursive: true });
    copyFileSync(file, copy, constants.COPYFILE_FICLONE);
    utimesSync(copy, 0, 0);
  }
  writeFileSync(path, '');
  truncateSync(path, size * MIB);
  const { status, error, stderr } = spawnSync(
    'mke2fs',
    [
      '-q',
      '-F',
      // No journal, as in a container image: the layers are never mounted for writing again.
      '-t',
      'ext4',
      '-O',
      '^has_journal,^resize_inode',
      '-b',
      '4096',
      '-m',
      '0',
      '-N',
      `${inodeCount(files.length, size)}`,
      '-U',
      FIXED_UUID,
      '-E',
      `hash_seed=${FIXED_UUID},lazy_itable_init=1`,
      '-d',
      stage,
      path,
    ],
    { encoding: 'utf8', env: { ...process.env, E2FSPROGS_FAKE_TIME: '1' } },
  );
  rmSync(stage, { recursive: true, force: true });
  if (status !== 0) {
    throw new Error(`mke2fs ${path}: exit ${status}: ${error?.message ?? stderr.trim()}`);
  }
}

function inodeCount(files: number, size: number): number {
  // There are far fewer folders than files.
  return Math.max(Math.ceil(files * 1.3) + 64, (size * MIB) / BYTES_PER_INODE / 4);
}
