// One partition of a disk as a separate disk: the bytes before and after it cannot be read.

import type { Cursor, DataRuns, Disk, FileRange, ReadsTogether } from '../../lib/disk.js';
import type { ExtentList } from '../../lib/extent-list.js';

export class PartitionDisk implements Disk {
  readonly size: number;
  readonly isRemote: boolean;
  readonly together: ReadsTogether | undefined;
  readonly #disk: Disk;
  readonly #offset: number;

  /**
   * @param offset bytes from the beginning of the disk
   * @throws RangeError when the partition does not lie within the disk: a bug, since its table has
   *   been checked
   */
  constructor(disk: Disk, offset: number, size: number) {
    if (offset < 0 || size < 0 || offset + size > disk.size) {
      throw new RangeError(`a partition at ${offset}+${size} of a disk of ${disk.size} bytes`);
    }
    this.size = size;
    this.isRemote = disk.isRemote === true;
    this.together = disk.together;
    this.#disk = disk;
    this.#offset = offset;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    return this.#disk.ensure(this.#offset + offset, length);
  }

  announce(offset: number, length: number): void {
    this.#disk.announce?.(this.#offset + offset, length);
  }

  read(offset: number, length: number, dst: Uint8Array, at: number, cursor: Cursor): boolean {
    return this.#disk.read(this.#offset + offset, length, dst, at, cursor);
  }

  locate(offset: number, length: number, into: FileRange, cursor: Cursor): boolean {
    return this.#disk.locate?.(this.#offset + offset, length, into, cursor) ?? false;
  }

  load(offset: number, length: number): Promise<void> {
    return this.#disk.load(this.#offset + offset, length);
  }

  prefetch(offset: number, length: number): Promise<void> {
    return this.#disk.prefetch(this.#offset + offset, length);
  }

  askExtents(offset: number, length: number): Promise<DataRuns> | null {
    return this.#disk.askExtents(this.#offset + offset, length);
  }

  /** @param runs the answer of `askExtents`: by the offsets of the whole disk */
  extents(
    offset: number,
    length: number,
    into: ExtentList,
    cursor: Cursor,
    runs: DataRuns | null,
  ): number {
    return this.#disk.extents(this.#offset + offset, length, into, cursor, runs);
  }
}
