// What the NBD server serves: an interface, so that this folder knows no images.

import { NBD_FLAG } from './constants.js';

/** One read-only export. Ranges given to it are within `size` and not empty. */
export interface NbdExport {
  readonly name: string;
  /** One line for people. */
  readonly description: string;
  /** Bytes. */
  readonly size: number;
  /** Transmission flags. */
  readonly flags: number;
  /** Advertised sizes in bytes; reads need not keep to them. */
  readonly minimumBlockSize: number;
  readonly preferredBlockSize: number;

  /** State of one connection's reads, given back with each of them. */
  newCursor(): ExportCursor;
  /** `null` when the range needs no network; else resolves when it is here. */
  ensure(offset: number, length: number): Promise<void> | null;
  /**
   * Puts the range into `dst`.
   * @returns false when `mayBlock` is false and a disk must be waited for: `load`, then again
   * @throws when the bytes cannot be had
   */
  read(
    dst: Uint8Array,
    dstOffset: number,
    length: number,
    offset: number,
    mayBlock: boolean,
    cursor: ExportCursor,
  ): boolean;
  /** Waits on the thread pool until the range is cheap to read. */
  load(offset: number, length: number): Promise<void>;
}

export interface ExportCursor {
  hint: number;
}

/** The flags of every export: what is read-only is the same on every connection. */
export const READ_ONLY_FLAGS = NBD_FLAG.HAS_FLAGS | NBD_FLAG.READ_ONLY | NBD_FLAG.CAN_MULTI_CONN;

/** Finds exports by the name that a client asks for. */
export interface ExportTable {
  /** @returns undefined when there is none of that name */
  find(name: string): NbdExport | undefined;
  list(): Iterable<NbdExport>;
}
