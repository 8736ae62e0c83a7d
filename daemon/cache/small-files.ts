// Small files of the cache, read and replaced as a whole. A crash leaves the old one or the new one.

import { randomBytes } from 'node:crypto';
import { lutimes, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { readSmallFile } from '../blob/open-file.js';
import { codeOf, OverlaybdError } from '../errors.js';
import { makeFolder } from './blob-files.js';
import { bounded } from './disk.js';

/** How often a file is written whose folders are collected meanwhile. */
const MAX_TRIES = 3;

/** The ending of the name of a file that is being written. */
export const TEMPORARY = /\.[0-9a-f]{16}\.tmp$/;

/** @returns null if it is not there. @throws OverlaybdError IO, LIMIT */
export async function readWhole(path: string, most: number): Promise<Buffer | null> {
  try {
    return await readSmallFile(path, most);
  } catch (error) {
    if (error instanceof OverlaybdError && error.code === 'NOT_FOUND') return null;
    throw error;
  }
}

/** Replaces a file, and makes its folders below `root`, which is there. @throws OverlaybdError IO */
export async function writeWhole(root: string, path: string, bytes: Uint8Array): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await makeFolders(root, dirname(path));
      return await replaceWhole(path, bytes);
    } catch (error) {
      // One of its folders was empty, and was collected meanwhile.
      if (codeOf(error) !== 'NOT_FOUND' || tries === MAX_TRIES) throw error;
    }
  }
}

async function replaceWhole(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`;
  try {
    await bounded(`write ${path}`, () => writeAndSync(temporary, bytes));
    await bounded(`write ${path}`, () => rename(temporary, path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
}

/** Sets the time of the last use of a file to now. Ignores failures. */
export async function touchFile(path: string): Promise<void> {
  const now = new Date();
  await bounded(path, () => lutimes(path, now, now)).catch(() => {});
}

/** Without it, a power failure may leave the name and not the bytes. */
async function writeAndSync(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** Node's recursive mkdir never returns if a parent allows no new folder, as in /proc. */
export async function makeFolders(root: string, path: string): Promise<void> {
  if (path === root || path === dirname(path)) return;
  const isThere = await bounded(path, () => stat(path)).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  await makeFolders(root, dirname(path));
  await makeFolder(path);
}
