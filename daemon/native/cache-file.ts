// Files of the cache of registry blobs. The jobs end at the callback of `files.onJobEnd`, as those of file.ts
// do, and `files.close` closes what `startOpen` opened. Conventions of all calls: addon.ts.

import { addon } from './addon.js';

/** What `lock` makes of the lock of a range. */
export const LOCK_NONE = 0;
export const LOCK_SHARED = 1;
export const LOCK_EXCLUSIVE = 2;

interface CacheFiles {
  /**
   * Locks a range for the open file description of `fd` (F_OFD_SETLK), or changes or ends its lock. Does not
   * wait: -EAGAIN if another description has a lock that is in the way. The kernel ends the lock when the
   * file is closed, however the process ends.
   */
  lock(fd: number, position: number, length: number, lock: 0 | 1 | 2): number;
  /** A file of this size in memory (memfd), to be read with `files.readAtHand`. @returns the descriptor */
  memory(size: number): number;

  /**
   * Opens a file to read and write it. With `create` 1, an empty or missing file gets this size. The result is
   * the descriptor; values[0] is the size, values[1] is 1 if it was made. -ENOTBLK: not a regular file;
   * -ELOOP: a symbolic link. With `own` 1, the file is closed when this thread ends, however it does, and its
   * locks end.
   */
  startOpen(job: number, path: string, size: number, create: 0 | 1, own: 0 | 1): number;
  /**
   * Writes `bytes` (at most 1 MiB, copied) at `position`, and when that is done `record` at `recordPosition`
   * of `recordFd`. The result is 0.
   */
  startStore(
    job: number,
    fd: number,
    position: number,
    bytes: Uint8Array,
    recordFd: number,
    recordPosition: number,
    record: Uint8Array,
  ): number;
  /** The result is the CRC-32C of a range, as `crc32c` computes it; -ENODATA if the file ends before. */
  startChecksum(job: number, fd: number, position: number, length: number, seed: number): number;
  /**
   * Writes `zeros` zero bytes at `recordPosition` of `recordFd`, then punches a hole of `length` bytes, which
   * may be 0, at `position`. The result is 0.
   */
  startPunch(
    job: number,
    fd: number,
    position: number,
    length: number,
    recordFd: number,
    recordPosition: number,
    zeros: number,
  ): number;
}

export const cacheFiles = addon['cacheFiles'] as CacheFiles;
