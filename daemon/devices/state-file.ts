// Opens, reads and replaces files of a state folder. Whatever is at the path, this neither waits nor has side
// effects, and does not follow links.

import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import { dirname } from 'node:path';
import { OverlaybdError, messageOf } from '../errors.js';

const SAFE = constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * Opens a regular file, or creates it if the flags say so.
 * @param flags of open(2), in addition to those that prevent waiting
 * @returns the descriptor. @throws OverlaybdError IO if it is not a regular file; errors of open(2)
 */
export function openStateFile(path: string, flags: number, mode = 0o600): number {
  // Check the path first: opening a device or a FIFO can already have effects.
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there) checkRegular(path, there);
  const fd = openSync(path, flags | SAFE, mode);
  try {
    checkRegular(path, fstatSync(fd));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** @throws OverlaybdError LIMIT if it is longer than `most` bytes, NOT_FOUND, IO */
export function readStateFile(path: string, most: number): string {
  return readStateBytes(path, most).toString('utf8');
}

/** @throws OverlaybdError as {@link readStateFile} */
export function readStateBytes(path: string, most: number): Buffer {
  try {
    const fd = openStateFile(path, constants.O_RDONLY);
    try {
      const { size } = fstatSync(fd);
      if (size > most) {
        throw new OverlaybdError('LIMIT', `${path}: ${size} bytes, at most ${most} are read`);
      }
      const bytes = Buffer.alloc(size);
      return bytes.subarray(0, readSync(fd, bytes, 0, size, 0));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw withPath(path, error);
  }
}

/** Replaces a file. After a crash, it has either this text or the one before, complete. @throws OverlaybdError IO, NOT_FOUND */
export function replaceStateFile(path: string, text: string): void {
  try {
    const fd = openNew(path);
    try {
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    putInPlace(path);
  } catch (error) {
    throw withPath(path, error);
  }
}

/**
 * As {@link replaceStateFile}, with bytes that are made while they are written. If that fails, the file is as it was.
 * @throws OverlaybdError IO, NOT_FOUND; and errors of the bytes
 */
export async function replaceStateFileWith(
  path: string,
  bytes: AsyncIterable<Uint8Array>,
): Promise<void> {
  try {
    const fd = openNew(path);
    try {
      for await (const each of bytes) writeFileSync(fd, each);
      fsyncSync(fd);
    } catch (error) {
      rmSync(`${path}.new`, { force: true });
      throw error;
    } finally {
      closeSync(fd);
    }
    putInPlace(path);
  } catch (error) {
    throw withPath(path, error);
  }
}

/** Opens the file that is to take the place of another one. */
function openNew(path: string): number {
  // A daemon that was killed may have left this file.
  rmSync(`${path}.new`, { force: true });
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  return openStateFile(`${path}.new`, flags);
}

function putInPlace(path: string): void {
  renameSync(`${path}.new`, path);
  syncFolder(dirname(path));
}

/** Makes changes of names in a folder survive a crash. @throws OverlaybdError IO, NOT_FOUND */
export function syncFolder(path: string): void {
  try {
    const fd = openSync(path, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw withPath(path, error);
  }
}

/** Reads at most the last `most` bytes of a file. @throws as {@link openStateFile} */
export function readStateFileEnd(path: string, most: number): string {
  const fd = openStateFile(path, constants.O_RDONLY);
  try {
    const { size } = fstatSync(fd);
    const bytes = Buffer.alloc(Math.min(size, most));
    return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, size - bytes.length));
  } finally {
    closeSync(fd);
  }
}

/** An error of the system names the file, and has a code: without one, it would pass for a bug of the daemon. */
function withPath(path: string, error: unknown): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall === undefined) return error;
  const isMissing = code === 'ENOENT';
  return new OverlaybdError(isMissing ? 'NOT_FOUND' : 'IO', `${path}: ${messageOf(error)}`, {
    cause: error,
  });
}

function checkRegular(path: string, stats: Stats): void {
  if (!stats.isFile()) {
    throw new OverlaybdError('IO', `${path}: is ${kindOf(stats)}, not a regular file`);
  }
}

function kindOf(stats: Stats): string {
  if (stats.isSymbolicLink()) return 'a symbolic link';
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a FIFO';
  if (stats.isSocket()) return 'a socket';
  return 'a device';
}
