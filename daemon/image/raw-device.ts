// A device without layers: a raw disk image, plain or decompressed from a ZFile.

import type { BlobSource } from '../blob/source.js';
import { FileSource } from '../blob/file-source.js';
import type { Device } from './device.js';
import { EXTENT_DATA, EXTENT_HOLE, NO_LAYER, type ExtentList } from './extent-list.js';

export class RawDevice implements Device {
  readonly size: number;
  readonly #source: BlobSource;

  constructor(source: BlobSource) {
    this.size = source.size;
    this.#source = source;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    return this.#source.ensure(offset, length);
  }

  read(
    dst: Uint8Array,
    dstOffset: number,
    length: number,
    offset: number,
    mayBlock: boolean,
  ): boolean {
    return this.#source.read(dst, dstOffset, length, offset, mayBlock);
  }

  load(offset: number, length: number): Promise<void> {
    return this.#source.load(offset, length);
  }

  /** A sparse file tells its holes; anything else is data. */
  extents(offset: number, length: number, into: ExtentList): number {
    const source = this.#source;
    const end = offset + length;
    let at = offset;
    into.clear();
    while (at < end) {
      const data = source instanceof FileSource ? source.nextData(at) : at;
      if (data > at) {
        const n = Math.min(data, end) - at;
        if (!into.push(n, EXTENT_HOLE, NO_LAYER)) break;
        at += n;
        continue;
      }
      const hole = source instanceof FileSource ? source.nextHole(at) : end;
      const n = Math.min(hole, end) - at;
      if (!into.push(n, EXTENT_DATA, 0)) break;
      at += n;
    }
    return at - offset;
  }
}
