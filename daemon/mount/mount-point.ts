// The folder that is mounted on: whether it can be, and what is mounted there.

import { readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { messageOf, OverlaybdError } from '../errors.js';
import { mountAt, parseMountinfo, type MountEntry } from './mountinfo.js';

/** What is mounted in our namespace, oldest first. */
export async function currentMounts(): Promise<MountEntry[]> {
  return parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'));
}

/**
 * A folder to mount on, absolute and without symbolic links.
 * @throws OverlaybdError NOT_FOUND, BAD_ARGUMENT when it is no folder, IO
 */
export async function mountPoint(dir: string): Promise<string> {
  try {
    const path = await realpath(dir);
    if ((await stat(path)).isDirectory()) return path;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      throw new OverlaybdError('NOT_FOUND', `${dir}: no such folder; create it: mkdir -p ${dir}`);
    }
    if (code === 'ENOTCONN') {
      const remedy = `the server of what is mounted there is gone; overlaybd-nbd umount ${dir}`;
      throw new OverlaybdError('IO', `${dir}: ${remedy}`);
    }
    throw new OverlaybdError('IO', `${dir}: ${messageOf(error)}`, { cause: error });
  }
  throw new OverlaybdError('BAD_ARGUMENT', `${dir}: not a folder`);
}

/**
 * The mount that is seen at `dir`. Does not touch it where it can be told without: the file system
 * may be one that answers nobody any more.
 * @throws OverlaybdError NOT_FOUND
 */
export async function mountedAt(dir: string, mounts: readonly MountEntry[]): Promise<MountEntry> {
  const path = resolve(dir);
  for (const name of [
    () => path,
    async () => join(await realpath(dirname(path)), basename(path)),
    () => realpath(path),
  ]) {
    const entry = mountAt(mounts, await Promise.resolve(name()).catch(() => path));
    if (entry) return entry;
  }
  throw new OverlaybdError('NOT_FOUND', `${dir}: nothing is mounted there`);
}
