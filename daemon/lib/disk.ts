// The one interface from the NBD server down to the merged image: a read-only disk. Types only. An
// ExtentList (extent-list.ts) describes what a range of a disk is made of.

import type { ExtentList } from './extent-list.js';

/**
 * Random access to immutable bytes, as blobs and disks have it in common. All offsets and lengths are
 * bytes, and ranges lie within `size`.
 *
 * The one rule of the data path: reading is synchronous, availability is asynchronous. A reader
 * calls `ensure` first; `null` means that nothing has to be fetched over a network. Then it calls
 * `read`, which never waits and never gives bytes that are not there. If `read` returns false, either a
 * cache has evicted the bytes since, and `ensure` fetches them again, or `ensure` returns null and a local
 * disk must be waited for: `load` does that on another thread. Then the reader calls `read` again, which
 * may return false again: after `ensure` and after `load` alike, what arrived may have had to make room.
 * The number of waits is bounded, and the loop is in loaded.ts.
 */
export interface RandomAccess {
  /** Size in bytes. */
  readonly size: number;

  /** Missing: nothing is gained if reads are announced. */
  readonly together?: ReadsTogether | undefined;

  /**
   * Says that `read` will soon be called with a range, if {@link together} has begun a round. Never fails: `read` gives
   * the same with it and without it.
   */
  announce?(offset: number, length: number): void;

  /** `null` when the range needs no network, else a promise that resolves when it is here. */
  ensure(offset: number, length: number): Promise<void> | null;

  /**
   * Waits, without holding this thread, until the range is at hand.
   * @throws OverlaybdError SHORT_READ or IO when that cannot be, or takes longer than the deadline
   */
  load(offset: number, length: number): Promise<void>;

  /**
   * Makes the kernel start to read a range, without memory of this process, and does not wait for its bytes.
   * @throws OverlaybdError IO
   */
  prefetch(offset: number, length: number): Promise<void>;
}

/**
 * A read-only disk: what an export serves. Policies are disks that wrap disks. A blob, of which disks
 * are made, is a BlobSource (blob/source.ts): it has no extents and needs no cursor.
 */
export interface Disk extends RandomAccess {
  /**
   * Bytes may have to be fetched over a network, and most are here: a short read is tried before `ensure`, which
   * costs as much as finding the bytes once more.
   */
  readonly isRemote?: boolean;

  /**
   * Puts exactly `length` bytes from `offset` into `dst` at `at`. Makes no object.
   * @returns false, with `dst` in any state, when the bytes are not at hand
   * @throws OverlaybdError if the bytes cannot be read: SHORT_READ, IO, BAD_CHECKSUM, BAD_DATA
   */
  read(offset: number, length: number, dst: Uint8Array, at: number, cursor: Cursor): boolean;

  /**
   * Finds the file that holds the range, in one piece and as it is. It does not check whether the range
   * can be read there: when it cannot, `read` says why.
   * @returns false, with `into` in any state, when no file does; a disk without the method has no files
   */
  locate?(offset: number, length: number, into: FileRange, cursor: Cursor): boolean;

  /**
   * Asks the file what the range is made of, for one call of `extents` soon after.
   * @returns null when no file has to be asked
   * @throws OverlaybdError SHORT_READ or IO when that cannot be found out
   */
  askExtents(offset: number, length: number): Promise<DataRuns> | null;

  /**
   * Puts what the range is made of into `into`, which is cleared first.
   * @param runs the answer of `askExtents`; null: it was not asked, and holes may be unknown
   * @returns how many bytes of the range the list covers: less than `length` when it became full or the
   *   rest is unknown; 0: call `askExtents` first
   */
  extents(
    offset: number,
    length: number,
    into: ExtentList,
    cursor: Cursor,
    runs: DataRuns | null,
  ): number;
}

/** Reads that arrived together, and whose bytes are decoded together, on more than one core. One for each thread. */
export interface ReadsTogether {
  /** The number of the last round that began: what was announced in earlier ones is forgotten. */
  readonly round: number;
  /**
   * Begins a round, and forgets what was announced in the one before.
   * @returns false if it is not worth it to announce reads now: then no round begins, and nothing is forgotten
   */
  begin(): boolean;
  /** All reads of the round have been announced. */
  end(): void;
}

/** The state of one reader between its reads; makes sequential access cheap. Begins as `{ hint: 0 }`. */
export interface Cursor {
  /** Index of the segment that was read last. */
  hint: number;
}

/** A position in an open file: an out-parameter that the caller reuses from call to call. */
export interface FileRange {
  fd: number;
  /** Byte offset in the file. */
  position: number;
}

/**
 * Where a range has data and where it has holes, as lseek(2) reports it of a file. Offsets count from the
 * start of the file, disk or partition that was asked.
 */
export interface DataRuns {
  /** Where the range begins. */
  readonly begin: number;
  /** Begin and end of each run of data, in order. The last run may continue past `end`. */
  readonly runs: Float64Array;
  /** `runs` is complete up to here. */
  readonly end: number;
}
