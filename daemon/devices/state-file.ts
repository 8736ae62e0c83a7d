// Files of a state folder. Whatever has come to be at their paths, looking at it neither waits nor has
// effects of its own, and a link is not followed.

import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  type Stats,
} from 'node:fs';
import { OverlaybdError } from '../errors.js';

const SAFE = constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * Opens a regular file, or makes it where the flags say so.
 * @param flags of open(2), beside those that keep it from waiting
 * @returns the descriptor. @throws OverlaybdError IO when something else is there; what open(2) says
 */
export function openStateFile(path: string, flags: number, mode = 0o600): number {
  // First by name: opening alone can have effects, on devices as on FIFOs.
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

/** @throws OverlaybdError LIMIT when it is longer than `most` bytes, IO when it is no regular file */
export function readStateFile(path: string, most: number): string {
  const fd = openStateFile(path, constants.O_RDONLY);
  try {
    const { size } = fstatSync(fd);
    if (size > most) {
      throw new OverlaybdError('LIMIT', `${path}: ${size} bytes, at most ${most} are read`);
    }
    const bytes = Buffer.alloc(size);
    return bytes.toString('utf8', 0, readSync(fd, bytes, 0, size, 0));
  } finally {
    closeSync(fd);
  }
}

/** The last bytes of a file that may be long. @throws as {@link openStateFile} */
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

function checkRegular(path: string, stats: Stats): void {
  if (!stats.isFile()) {
    throw new OverlaybdError('IO', `${path}: ${kindOf(stats)} is there, not a regular file`);
  }
}

function kindOf(stats: Stats): string {
  if (stats.isSymbolicLink()) return 'a symbolic link';
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a FIFO';
  if (stats.isSocket()) return 'a socket';
  return 'a device';
}
