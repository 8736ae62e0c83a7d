// The interface of a merged, read-only block device; what an export serves.

import type { DataRuns } from '../lib/data-runs.js';
import type { ExtentList } from '../lib/extent-list.js';
import type { FileRange } from '../lib/file-range.js';

/** State of one reader between its reads; makes sequential access cheap. */
export interface ReadCursor {
  /** Index of the segment that was read last. */
  hint: number;
}

/** Same contract as BlobSource for `ensure`, `read` and `load`; ranges are within `size`. */
export interface Device {
  /** Bytes. */
  readonly size: number;
  ensure(offset: number, length: number): Promise<void> | null;
  read(
    dst: Uint8Array,
    dstOffset: number,
    length: number,
    offset: number,
    cursor: ReadCursor,
  ): boolean;
  /** As a BlobSource does: what one layer has, and does not compress. */
  locate(offset: number, length: number, into: FileRange, cursor: ReadCursor): boolean;
  load(offset: number, length: number): Promise<void>;
  prefetch(offset: number, length: number): Promise<void>;

  /**
   * Asks the file what the range is made of, for one call of `extents` soon. Null: nobody has to be
   * asked.
   * @throws OverlaybdError SHORT_READ or IO when it cannot be found out
   */
  askExtents(offset: number, length: number): Promise<DataRuns> | null;

  /**
   * Puts what the range is made of into `into`, which is cleared first.
   * @param runs what was asked for it, or null: then holes are not known
   * @returns how many bytes of the range the list covers: less than `length` when it became full, or
   *   only so much is known; 0: ask first
   */
  extents(
    offset: number,
    length: number,
    into: ExtentList,
    cursor: ReadCursor,
    runs: DataRuns | null,
  ): number;
}
