// A disk whose size is not a multiple of a block, for clients that count in blocks: zeros fill the last block.

import { EXTENT_HOLE, NO_LAYER, type ExtentList } from '../lib/extent-list.js';
import type { Cursor, DataRuns, Disk, FileRange, ReadsTogether } from '../lib/disk.js';
import type { NbdExport } from './export.js';

/** The unit of disks. The kernel drops the tail of a device whose size is not a multiple of it. */
const SECTOR_SIZE = 512;
/**
 * A size that is not a multiple of a sector is rounded up to a multiple of this. Images with such sizes are
 * file systems without padding, above all squashfs, which the kernel reads in blocks of 1 KiB.
 */
const LAST_BLOCK_SIZE = 1024;
/** No padding is longer: the largest block of a device is 4096 bytes. */
const MAX_PADDING = 4095;

/**
 * The size of a disk in whole blocks that holds all of an image.
 * @param size of the image in bytes
 * @param blockSize of the disk in bytes, 512 to 4096
 * @internal for its unit test
 */
export function sizeInBlocks(size: number, blockSize = SECTOR_SIZE): number {
  const block = size % SECTOR_SIZE === 0 ? blockSize : Math.max(LAST_BLOCK_SIZE, blockSize);
  return Math.ceil(size / block) * block;
}

/** The export for clients that did not say that they can handle any size, above all nbd-client. */
export function inBlocks(served: NbdExport): NbdExport {
  return paddedTo(served, sizeInBlocks(served.disk.size));
}

/**
 * The export for a client that got `size` in the handshake.
 * @returns the export itself if nothing is missing, or more than a last block
 */
export function paddedTo(served: NbdExport, size: number): NbdExport {
  const { name, description, disk, blockSizes } = served;
  const padding = size - disk.size;
  if (padding <= 0 || padding > MAX_PADDING) return served;
  return { name, description, disk: new PaddedDisk(disk, size), blockSizes };
}

/** @internal for its unit test */
export class PaddedDisk implements Disk {
  readonly size: number;
  readonly isRemote: boolean;
  readonly together: ReadsTogether | undefined;
  readonly #inner: Disk;

  /** @param size bytes of the disk, including the padding */
  constructor(inner: Disk, size: number) {
    this.size = size;
    this.isRemote = inner.isRemote === true;
    this.together = inner.together;
    this.#inner = inner;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    const n = this.#within(offset, length);
    return n === 0 ? null : this.#inner.ensure(offset, n);
  }

  announce(offset: number, length: number): void {
    const n = this.#within(offset, length);
    if (n > 0) this.#inner.announce?.(offset, n);
  }

  read(offset: number, length: number, dst: Uint8Array, at: number, cursor: Cursor): boolean {
    const n = this.#within(offset, length);
    if (n < length) dst.fill(0, at + n, at + length);
    return n === 0 || this.#inner.read(offset, n, dst, at, cursor);
  }

  locate(offset: number, length: number, into: FileRange, cursor: Cursor): boolean {
    if (this.#within(offset, length) < length) return false;
    return this.#inner.locate?.(offset, length, into, cursor) ?? false;
  }

  askExtents(offset: number, length: number): Promise<DataRuns> | null {
    const n = this.#within(offset, length);
    return n === 0 ? null : this.#inner.askExtents(offset, n);
  }

  extents(
    offset: number,
    length: number,
    into: ExtentList,
    cursor: Cursor,
    runs: DataRuns | null,
  ): number {
    const n = this.#within(offset, length);
    let covered = 0;
    if (n === 0) into.clear();
    else covered = this.#inner.extents(offset, n, into, cursor, runs);
    const isWhole = covered === n && n < length && into.push(length - n, EXTENT_HOLE, NO_LAYER);
    return isWhole ? length : covered;
  }

  load(offset: number, length: number): Promise<void> {
    const n = this.#within(offset, length);
    return n === 0 ? Promise.resolve() : this.#inner.load(offset, n);
  }

  prefetch(offset: number, length: number): Promise<void> {
    const n = this.#within(offset, length);
    return n === 0 ? Promise.resolve() : this.#inner.prefetch(offset, n);
  }

  /** How many bytes of a range lie within the inner disk. */
  #within(offset: number, length: number): number {
    return Math.max(0, Math.min(length, this.#inner.size - offset));
  }
}
