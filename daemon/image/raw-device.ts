// A device without layers: a raw disk image, plain or decompressed from a ZFile.

import type { BlobSource } from '../blob/source.js';
import { FileSource } from '../blob/file-source.js';
import type { FileRange } from '../lib/file-range.js';
import type { Device } from './device.js';
import { EXTENT_DATA, EXTENT_HOLE, NO_LAYER, type ExtentList } from '../lib/extent-list.js';

export class RawDevice implements Device {
  readonly size: number;
  readonly #source: BlobSource;
  /** A run found to be data, so that reads of a file without holes need not ask again. */
  #dataBegin = 0;
  #dataEnd = 0;

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

  locate(offset: number, length: number, into: FileRange): boolean {
    return this.#source.locate?.(offset, length, into) ?? false;
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
      let n = end - at;
      if (source instanceof FileSource) {
        const hole = this.#holeAt(source, at);
        if (hole > 0) {
          n = Math.min(hole, n);
          if (!into.push(n, EXTENT_HOLE, NO_LAYER)) break;
          at += n;
          continue;
        }
        n = Math.min(this.#dataEnd - at, n);
      }
      if (!into.push(n, EXTENT_DATA, 0)) break;
      at += n;
    }
    return at - offset;
  }

  /**
   * How many bytes from `at` on are a hole; 0: none, and the data run that is remembered holds `at`.
   * Holes are looked up every time: to take one for data is slow, but the other way round is wrong.
   */
  #holeAt(source: FileSource, at: number): number {
    if (at >= this.#dataBegin && at < this.#dataEnd) return 0;
    const data = source.nextData(at);
    if (data > at) return data - at;
    const dataEnd = source.nextHole(at);
    // Found from further back, a run is longer; otherwise it is another one.
    this.#dataBegin = dataEnd === this.#dataEnd ? Math.min(this.#dataBegin, at) : at;
    this.#dataEnd = dataEnd;
    return 0;
  }
}
