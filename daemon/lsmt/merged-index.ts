// The merged index, in which every read looks up its segments: immutable, 17 bytes a segment, in memory
// that all reactors share. build-index.ts builds it. docs/benchmarks/README.md has its speed.

import { TWO_32 } from '../lib/bytes.js';
import { META_LAYER_SHIFT, META_MOFFSET_HIGH, META_ZEROED } from './entry-log.js';

/** The device is divided into ranges that hold at least this many segments on average. */
const SEGMENTS_PER_RANGE = 4;
/** At most 2^31 sectors a range: then no range crosses a multiple of 2^32, and `>>>` can shift. */
const MAX_RANGE_SHIFT = 31;
/** Up to this many segments, a linear search is faster than a binary one: it mispredicts less. */
const LINEAR_SEGMENTS = 8;

/** The arrays of an index, all in shared memory, so that a worker gets them without a copy. */
export interface LsmtIndexData {
  readonly count: number;
  /** Bytes of the device. */
  readonly virtualSize: number;
  /** Low 32 bits of the first sector of each segment, in order. */
  readonly offsets: Uint32Array<SharedArrayBuffer>;
  /** Sectors of each segment. */
  readonly lengths: Uint32Array<SharedArrayBuffer>;
  /** Low 32 bits of moffset, in sectors; meaningless when zeroed. */
  readonly moffsets: Uint32Array<SharedArrayBuffer>;
  /** Layer, zeroed bit and high bits of moffset, as in entry-log.ts. */
  readonly meta: Uint32Array<SharedArrayBuffer>;
  /** highStarts[h] is the first segment whose offset is 2^32 h or more: one entry each 2 TiB. */
  readonly highStarts: Uint32Array<SharedArrayBuffer>;
  /** log2 of the sectors in a range. */
  readonly rangeShift: number;
  /** rangeStarts[r] is the first segment whose offset is r << rangeShift or more: 1 byte a segment. */
  readonly rangeStarts: Uint32Array<SharedArrayBuffer>;
}

/** log2 of the sectors in a range, for {@link SEGMENTS_PER_RANGE}. */
export function rangeShiftFor(count: number, sectors: number): number {
  let shift = 0;
  while (shift < MAX_RANGE_SHIFT && sectors / 2 ** shift > count / SEGMENTS_PER_RANGE) shift++;
  return shift;
}

/** Finds the segment that holds a sector. Units: sectors, unless a comment says bytes. */
export class LsmtIndex {
  readonly data: LsmtIndexData;
  readonly count: number;
  readonly virtualSize: number;
  /** Whether every offset fits 32 bits. */
  readonly #isNarrow: boolean;

  constructor(data: LsmtIndexData) {
    this.data = data;
    this.count = data.count;
    this.virtualSize = data.virtualSize;
    this.#isNarrow = data.highStarts.length === 2;
  }

  /**
   * The first segment that ends after `sector`: the one that holds it, or else the next one.
   * @param hint the segment that the caller found last, which saves a sequential reader the search
   * @returns `count` if there is no such segment
   */
  find(sector: number, hint: number): number {
    return hint < this.count && this.#holds(hint, sector) ? hint : this.#search(sector);
  }

  #holds(i: number, sector: number): boolean {
    const length = this.data.lengths[i] as number;
    const into = sector - this.offsetOf(i);
    // One comparison checks both ends; the processor would mispredict two half of the time.
    if (this.#isNarrow) return into >>> 0 < length;
    return into >= 0 && into < length;
  }

  /**
   * Finds the range of the sector, then searches the few segments in it. Random reads stay fast however
   * unevenly the segments lie: a range with many segments covers little of the device.
   */
  #search(sector: number): number {
    const { offsets, rangeStarts, rangeShift } = this.data;
    const range = sector < TWO_32 ? sector >>> rangeShift : Math.floor(sector / 2 ** rangeShift);
    // All sectors of a range have the same high bits.
    const low = sector >>> 0;
    // Find the first segment that begins after the sector; the one before it may hold the sector.
    let begin = rangeStarts[range] as number;
    let end = rangeStarts[range + 1] as number;
    while (end - begin > LINEAR_SEGMENTS) {
      const middle = (begin + end) >>> 1;
      if ((offsets[middle] as number) <= low) begin = middle + 1;
      else end = middle;
    }
    while (begin < end && (offsets[begin] as number) <= low) begin++;
    return begin > 0 && sector < this.endOf(begin - 1) ? begin - 1 : begin;
  }

  offsetOf(i: number): number {
    const low = this.data.offsets[i] as number;
    if (this.#isNarrow) return low;
    const { highStarts } = this.data;
    // Find the last h with highStarts[h] <= i. There is one h for each 2 TiB, so they are few.
    let high = 0;
    let end = highStarts.length - 1;
    while (end - high > 1) {
      const middle = (high + end) >>> 1;
      if ((highStarts[middle] as number) <= i) high = middle;
      else end = middle;
    }
    return high * TWO_32 + low;
  }

  lengthOf(i: number): number {
    return this.data.lengths[i] as number;
  }

  endOf(i: number): number {
    return this.offsetOf(i) + (this.data.lengths[i] as number);
  }

  isZeroed(i: number): boolean {
    return ((this.data.meta[i] as number) & META_ZEROED) !== 0;
  }

  layerOf(i: number): number {
    return ((this.data.meta[i] as number) >>> META_LAYER_SHIFT) & 0xff;
  }

  moffsetOf(i: number): number {
    const high = (this.data.meta[i] as number) & META_MOFFSET_HIGH;
    return high * TWO_32 + (this.data.moffsets[i] as number);
  }
}
