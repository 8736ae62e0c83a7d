// Columns of a table that is being made: their memory is announced before it is allocated.

import { grown, sharedCopy, type Numbers } from './columns.js';
import type { Effort } from './effort.js';

/** What counts the memory of tables. */
export type TableEffort = Pick<Effort, 'keep'>;

/** Less room than this may stay in a column that is finished. */
const TRIMMED_BYTES = 1 << 20;

export class CountedColumns {
  readonly #blob: string;
  readonly #effort: TableEffort;
  /** Bytes that were announced. */
  #bytes = 0;

  /** @param blob for messages */
  constructor(blob: string, effort: TableEffort) {
    this.#blob = blob;
    this.#effort = effort;
  }

  /** {@link grown}. @throws OverlaybdError LIMIT */
  grown<T extends Numbers>(column: T, i: number): T {
    if (i < column.length) return column;
    // Both are there while the numbers are copied.
    this.take(2 * i * column.BYTES_PER_ELEMENT);
    const longer = grown(column, i);
    this.take(-column.byteLength);
    return longer;
  }

  /**
   * A finished column without the room for more numbers, if that is much.
   * @returns it has at least `count` numbers
   * @throws OverlaybdError LIMIT
   */
  trimmed<T extends Numbers>(column: T, count: number): T {
    if ((column.length - count) * column.BYTES_PER_ELEMENT < TRIMMED_BYTES) return column;
    this.take(count * column.BYTES_PER_ELEMENT);
    const shorter = column.slice(0, count) as T;
    this.take(-column.byteLength);
    return shorter;
  }

  /** {@link sharedCopy}. @throws OverlaybdError LIMIT */
  sharedCopy<T extends Numbers>(column: T, count: number): T {
    this.take(count * column.BYTES_PER_ELEMENT);
    return sharedCopy(column, count);
  }

  /** @param bytes that are allocated next; below 0: they are free again. @throws OverlaybdError LIMIT */
  take(bytes: number): void {
    this.#bytes += bytes;
    this.#effort.keep(bytes, this.#blob);
  }

  /** The table is complete, and what it was made from is free. @param bytes of the table. @throws OverlaybdError LIMIT */
  finish(bytes: number): void {
    this.take(bytes - this.#bytes);
  }
}

/** Of a command that opens one image and exits, and of tests. */
export function uncountedColumns(): CountedColumns {
  return new CountedColumns('', { keep: () => undefined });
}
