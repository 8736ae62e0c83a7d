// Opens a path as a file source for the control plane. The only place that opens layer files.

import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { OverlaybdError, messageOf } from '../errors.js';
import { native } from '../native/binding.js';
import { FileSource } from './file-source.js';

/** A source together with the descriptor that its owner must close. */
export interface OpenFile {
  readonly source: FileSource;
  readonly fd: number;
  /** The same file opened twice has the same identity: device, inode, change of content. */
  readonly identity: string;
}

/**
 * Opens a path of any kind for reading.
 * @returns the descriptor, which the caller closes
 * @throws OverlaybdError NOT_FOUND or IO
 */
export function openReadOnly(path: string): number {
  try {
    // O_NONBLOCK: opening a FIFO that nobody writes to must not hang.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new OverlaybdError(missing ? 'NOT_FOUND' : 'IO', `${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/**
 * Opens a regular file or a block device read-only.
 * @throws OverlaybdError NOT_FOUND, IO, or UNSUPPORTED for directories, pipes and the like
 */
export function openFile(path: string): OpenFile {
  const fd = openReadOnly(path);
  try {
    const stat = fstatSync(fd, { bigint: true });
    if (!stat.isFile() && !stat.isBlockDevice()) {
      throw new OverlaybdError('UNSUPPORTED', `${path}: neither a regular file nor a block device`);
    }
    const size = stat.isFile() ? Number(stat.size) : native.fileSize(fd);
    if (size < 0) throw new OverlaybdError('IO', `${path}: cannot find out the size of the device`);
    return {
      source: new FileSource({ kind: 'file', name: path, fd, base: 0, size }),
      fd,
      identity: `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}`,
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
