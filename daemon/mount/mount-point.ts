// The mount point: checks that a folder can be one, and finds what is mounted at one.

import { lstat, opendir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { messageOf, OverlaybdError } from '../errors.js';
import { mountAt, parseMountinfo, type MountEntry } from './mountinfo.js';

/** The mounts of our mount namespace, oldest first. */
export async function currentMounts(): Promise<MountEntry[]> {
  return parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'));
}

/**
 * Checks a folder to mount on.
 * @returns its absolute path without symbolic links
 * @throws OverlaybdError NOT_FOUND, BAD_ARGUMENT if it is not a folder, IO
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
      const remedy = `the FUSE program that is mounted there has ended; overlaybd-nbd umount ${dir}`;
      throw new OverlaybdError('MOUNT', `${dir}: ${remedy}`);
    }
    throw new OverlaybdError('MOUNT', `${dir}: ${messageOf(error)}`, { cause: error });
  }
  throw new OverlaybdError('BAD_ARGUMENT', `${dir}: not a folder`);
}

/**
 * Checks that programs of FUSE 2 will take a folder: they refuse one that is not empty, and one that another such program is
 * mounted on, in words of their own.
 * @param dir as {@link mountPoint} returns it
 * @throws OverlaybdError BUSY
 */
export async function checkFree(dir: string, mounts: readonly MountEntry[]): Promise<void> {
  const mounted = mountAt(mounts, dir);
  if (mounted?.type.startsWith('fuse')) {
    const facts = `${mounted.source} (${mounted.type}) is mounted there already`;
    throw new OverlaybdError('BUSY', `${dir}: ${facts}; unmount it first, or name another folder`);
  }
  const folder = await opendir(dir).catch(() => null);
  if (!folder) return;
  const first = await folder.read().catch(() => null);
  await folder.close();
  if (first) throw new OverlaybdError('BUSY', `${dir}: the folder is not empty`);
}

/**
 * The topmost mount at `dir`. Looks up the path as it is first, without a system call on it, because the
 * file system there may no longer answer.
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
  const isThere = await lstat(path).then(
    () => true,
    ({ code }: NodeJS.ErrnoException) => code !== 'ENOENT',
  );
  const why = isThere ? 'nothing is mounted there' : 'no such folder';
  throw new OverlaybdError('NOT_FOUND', `${dir}: ${why}`);
}
