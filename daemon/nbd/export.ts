// What the NBD server serves: an interface, so that this folder knows no images.

import type { DataRuns } from '../lib/data-runs.js';
import type { ExtentList } from '../lib/extent-list.js';
import type { FileRange } from '../lib/file-range.js';

/** One read-only export. Ranges given to it are within `size` and not empty. */
export interface NbdExport {
  readonly name: string;
  /** One line for people. */
  readonly description: string;
  /** Bytes. */
  readonly size: number;
  /** Advertised sizes in bytes; reads need not keep to them. */
  readonly minimumBlockSize: number;
  readonly preferredBlockSize: number;

  /** State of one connection's reads, given back with each of them. */
  newCursor(): ExportCursor;
  /** `null` when the range needs no network; else resolves when it is here. */
  ensure(offset: number, length: number): Promise<void> | null;
  /**
   * Puts the range into `dst`.
   * @returns false when a disk must be waited for: `load`, then again
   * @throws when the bytes cannot be had
   */
  read(
    dst: Uint8Array,
    dstOffset: number,
    length: number,
    offset: number,
    cursor: ExportCursor,
  ): boolean;
  /**
   * Where the range is in a file, if it is there in one piece and as it is. Whether it can be read
   * there is not asked: when it cannot, `read` says why.
   * @returns false, with `into` in any state, when it is not
   */
  locate?(offset: number, length: number, into: FileRange, cursor: ExportCursor): boolean;
  /**
   * Asks what the range is made of, for one call of `extents` soon. Null: nobody has to be asked.
   * @throws when it cannot be found out
   */
  askExtents(offset: number, length: number): Promise<DataRuns> | null;
  /**
   * Puts what the range is made of into `into`, which is cleared first.
   * @param runs what was asked for it, or null: then holes may not be known
   * @returns how many bytes of the range the list covers: less than `length` when it became full, or
   *   only so much is known; 0: ask first
   */
  extents(
    offset: number,
    length: number,
    into: ExtentList,
    cursor: ExportCursor,
    runs: DataRuns | null,
  ): number;
  /**
   * Waits, without holding the thread, until the range is at hand. What was loaded may be gone again
   * when it is read.
   * @throws when the bytes cannot be had
   */
  load(offset: number, length: number): Promise<void>;
  /** Has the system begin to read the range, without memory of ours, and does not wait for it. */
  prefetch(offset: number, length: number): Promise<void>;
}

export interface ExportCursor {
  hint: number;
}

/** Finds exports by the name that a client asks for. */
export interface ExportTable {
  /** @returns undefined when there is none of that name */
  find(name: string): NbdExport | undefined;
  /** The code of what keeps an export of that name from being served; undefined when nothing does. */
  failure?(name: string): string | undefined;
  list(): Iterable<NbdExport>;
}
