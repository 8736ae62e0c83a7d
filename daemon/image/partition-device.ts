// One partition of a device as a device of its own: what lies behind it or in front cannot be seen.

import type { DataRuns } from '../lib/data-runs.js';
import type { ExtentList } from '../lib/extent-list.js';
import type { FileRange } from '../lib/file-range.js';
import type { Device, ReadCursor } from './device.js';

export class PartitionDevice implements Device {
  readonly size: number;
  readonly #disk: Device;
  readonly #offset: number;

  /**
   * @param offset bytes from the beginning of the disk
   * @throws RangeError when the partition does not lie within the disk: a bug, since its table has
   *   been checked
   */
  constructor(disk: Device, offset: number, size: number) {
    if (offset < 0 || size < 0 || offset + size > disk.size) {
      throw new RangeError(`a partition at ${offset}+${size} of a disk of ${disk.size} bytes`);
    }
    this.size = size;
    this.#disk = disk;
    this.#offset = offset;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    return this.#disk.ensure(this.#offset + offset, length);
  }

  read(
    dst: Uint8Array,
    dstOffset: number,
    length: number,
    offset: number,
    cursor: ReadCursor,
  ): boolean {
    return this.#disk.read(dst, dstOffset, length, this.#offset + offset, cursor);
  }

  locate(offset: number, length: number, into: FileRange, cursor: ReadCursor): boolean {
    return this.#disk.locate(this.#offset + offset, length, into, cursor);
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

  /** @param runs as the disk was asked for them: by its own offsets */
  extents(
    offset: number,
    length: number,
    into: ExtentList,
    cursor: ReadCursor,
    runs: DataRuns | null,
  ): number {
    return this.#disk.extents(this.#offset + offset, length, into, cursor, runs);
  }
}
