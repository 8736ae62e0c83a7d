// What the addon does with image files: types only. As in binding.ts a function returns a number >= 0,
// or -errno, and positions, offsets and lengths are bytes.

export interface FileCalls {
  /**
   * Reads bytes of a file of `startOpen` that need no waiting for a disk. A short result: the rest is
   * not at hand, or the file ends. -EAGAIN: nothing of it is. What was loaded may be
   * gone again when it is read: then it has to be loaded once more.
   */
  readAtHand(
    fd: number,
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): number;

  /**
   * Says what is told of the ends of this environment's file jobs; once, before the first. A job is
   * known by the number that its start was given, and done by a thread of the process that may be
   * lost. `result` is that of the start's description, or -errno, or -ETIMEDOUT when it has not ended
   * within `fileDeadline`. A pending job keeps the loop alive. Throwing becomes uncaughtException.
   */
  fileJobs(
    done: (job: number, result: number, values: Float64Array, identity: string) => void,
  ): number;
  /** Milliseconds that file jobs may take, of all threads; with an argument, sets it. */
  fileDeadline(milliseconds?: number): number;
  /**
   * Opens a path for reading. The result is the descriptor, values[0] its size, values[1] 1 for a
   * block device. -ENOTBLK: neither a regular file nor a block device, and not opened. All starts
   * return 0, or -EAGAIN if too many jobs wait.
   */
  startOpen(job: number, path: string): number;
  /** 0 if there is something at the path. */
  startExists(job: number, path: string): number;
  /** Brings a range near, for `readAtHand`. The result is less than `length` if the file ends. */
  startLoad(job: number, fd: number, position: number, length: number): number;
  /** Has the system begin to read a range. */
  startPrefetch(job: number, fd: number, position: number, length: number): number;
  /**
   * Where a range has data: begin and end of each run, in `values`; the last may go on behind the range.
   * The result is how many bytes of the range that covers, at least one. -ENXIO: the file is shorter than `fileEnd`. -EINVAL and others:
   * the file system cannot tell.
   */
  startExtents(job: number, fd: number, position: number, length: number, fileEnd: number): number;
  /** Closes a file of `startOpen` once no job uses it; jobs that have not begun end with -EBADF. */
  closeFile(fd: number): number;
  /** The jobs whose threads have not come back in time. */
  stuckFileJobs(): StuckFileJob[];
}

/** A job whose thread is lost for the time being. */
export interface StuckFileJob {
  readonly path: string;
  /** The addon's number: 0 open, 1 look, 2 load, 3 prefetch, 4 extents, 5 close. */
  readonly kind: number;
  readonly position: number;
  readonly length: number;
  /** Since it was asked for. */
  readonly seconds: number;
}
