// Things that have the name of a cache file and are not regular files: symbolic links, pipes, sockets, devices, folders.
// The cache never follows them and never writes to them. It removes them, with a line in the log, and goes on.

import { rm, rmdir } from 'node:fs/promises';
import { codeOf } from '../errors.js';
import { EISDIR } from '../lib/errno.js';
import type { Logger } from '../log/logger.js';
import { bounded, openIfThere, type CacheFile } from './disk.js';

/** Called with the path of each thing that was removed. */
export type ForeignReport = (path: string) => void;

export function foreignLog(log: Logger): ForeignReport {
  return (path) => {
    const what =
      'it was not a regular file, and was removed; nothing was read or written through it';
    log.log('warn', `cache: ${path}: ${what}`, { cache: 'foreign', path });
  };
}

/**
 * Opens a file of the cache.
 * @returns null if it is not there, or was something else
 * @throws OverlaybdError IO, also if a folder in its place is not empty
 */
export async function openOurs(
  path: string,
  report: ForeignReport,
  open = (each: string) => openIfThere(each),
): Promise<CacheFile | null> {
  try {
    return await open(path);
  } catch (error) {
    if (codeOf(error) !== 'UNSUPPORTED') throw error;
    await removeName(path);
    report(path);
    return null;
  }
}

/** Removes a file, a link but not what it leads to, or an empty folder. @throws OverlaybdError IO */
export async function removeName(path: string): Promise<void> {
  const isFolder = await bounded(`remove ${path}`, async () => {
    try {
      await rm(path, { force: true });
      return false;
    } catch (error) {
      const { code, errno } = error as NodeJS.ErrnoException;
      if (code === 'ERR_FS_EISDIR' || errno === -EISDIR) return true;
      throw error;
    }
  });
  if (isFolder) await bounded(`remove ${path}`, () => rmdir(path));
}
