// Image files: reads that need no waiting, and jobs of the file pool for those that do. Conventions of all
// calls: addon.ts.

import { addon } from './addon.js';

interface Files {
  /**
   * Reads bytes of a file that `startOpen` opened, if that needs no waiting for a disk. A short result
   * means that the rest is not at hand or that the file ends. -EAGAIN: nothing is at hand. What
   * `startLoad` loaded may be gone again by now; then load it once more.
   */
  readAtHand(
    fd: number,
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): number;

  /**
   * Registers the callback for ended jobs of this environment; call it once, before the first job. The
   * starter of a job chooses its number. A thread of the process does the job. `values` and `identity`
   * are left out if it has neither. `result` is described at each start function, or is -errno, or
   * -ETIMEDOUT if the job has not ended within `deadline`. A pending job keeps the event loop alive. What
   * the callback throws becomes an uncaughtException. Promise reactions run when all jobs that have ended
   * together have been told.
   */
  onJobEnd(
    ended: (job: number, result: number, values?: Float64Array, identity?: string) => void,
  ): number;
  /** The time limit of file jobs, for all threads. With an argument, sets it. */
  deadline(milliseconds?: number): number;
  /**
   * Opens a path for reading. The result is the descriptor; values[0] is the size, values[1] is 1 for a
   * block device. -ENOTBLK: neither a regular file nor a block device; it was not opened. All start
   * functions return 0, or -EAGAIN if too many jobs wait.
   */
  startOpen(job: number, path: string): number;
  /** The result is 0 if the path exists. */
  startExists(job: number, path: string): number;
  /** Reads a range into memory for `readAtHand`. The result is less than `length` if the file ends. */
  startLoad(job: number, fd: number, position: number, length: number): number;
  /** Makes the system begin to read a range. */
  startPrefetch(job: number, fd: number, position: number, length: number): number;
  /**
   * Finds where a range has data: `values` holds start and end of each run; the last one may reach past
   * the range. The result is how many bytes of the range they cover, at least one. -ENXIO: the file is
   * shorter than `fileEnd`. -EINVAL and others: the file system cannot say.
   */
  startExtents(job: number, fd: number, position: number, length: number, fileEnd: number): number;
  /**
   * Closes a file of `startOpen` when no job uses it any more. Jobs that have not begun end with -EBADF.
   */
  close(fd: number): number;
  /** The jobs that have exceeded their time limit and not ended. */
  stuckJobs(): StuckFileJob[];
}

/** A job that has exceeded its time limit; its thread is lost until the system call returns. */
export interface StuckFileJob {
  readonly path: string;
  /**
   * The addon's number: 0 open, 1 exists, 2 load, 3 prefetch, 4 extents, 5 close; of the cache: 6 open,
   * 7 store, 8 checksum, 9 punch.
   */
  readonly kind: number;
  readonly position: number;
  readonly length: number;
  /** Since the job was started. */
  readonly seconds: number;
}

export const files = addon['files'] as Files;
