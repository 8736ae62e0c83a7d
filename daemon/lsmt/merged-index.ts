// The merged index that reads look into: 17 bytes a segment in shared memory, immutable, mapped by
// every reactor. Built by build-index.ts. What it was measured against: docs/benchmarks/README.md.

import { TWO_32 } from '../lib/bytes.js';
import { META_LAYER_SHIFT, META_MOFFSET_HIGH, META_ZEROED } from './entry-log.js';

/** The device is cut into so many ranges that each holds this many segments or more, on average. */
const SEGMENTS_PER_RANGE = 4;
/** Ranges are 2^31 sectors at most: then none crosses a multiple of 2^32, and `>>>` can shift. */
const MAX_RANGE_SHIFT = 31;
/** So few segments are faster looked at in turn than halved: no branch to mispredict. */
const LINEAR_SEGMENTS = 8;

/** The parts of an index, all in shared memory: cheap to hand to a worker. */
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
  /** As in an entry log (entry-log.ts). */
  readonly meta: Uint32Array<SharedArrayBuffer>;
  /** highStarts[h] is the first segment whose offset is 2^32 h or more: one entry each 2 TiB. */
  readonly highStarts: Uint32Array<SharedArrayBuffer>;
  /** log2 of the sectors in a range. */
  readonly rangeShift: number;
  /** rangeStarts[r] is the first segment whose offset is r << rangeShift or more: 1 byte a segment. */
  readonly rangeStarts: Uint32Array<SharedArrayBuffer>;
}

/** log2 of the sectors in a range, so that ranges hold enough segments. */
export function rangeShiftFor(count: number, sectors: number): number {
  let shift = 0;
  while (shift < MAX_RANGE_SHIFT && sectors / 2 ** shift > count / SEGMENTS_PER_RANGE) shift++;
  return shift;
}

/** Answers which segment holds a sector. Units: sectors, except where it says bytes. */
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
   * The first segment that ends behind `sector`: the one that holds it, or else the next one.
   * @param hint where the caller looked last; sequential readers are then answered at once
   * @returns `count` when there is none
   */
  find(sector: number, hint: number): number {
    return hint < this.count && this.#holds(hint, sector) ? hint : this.#search(sector);
  }

  #holds(i: number, sector: number): boolean {
    const length = this.data.lengths[i] as number;
    const into = sector - this.offsetOf(i);
    // One comparison for both ends: two would be mispredicted half of the time.
    if (this.#isNarrow) return into >>> 0 < length;
    return into >= 0 && into < length;
  }

  /**
   * A range of the device, then the few segments in it. That is quick for readers that come anywhere
   * on the device, however uneven the segments lie: where they are dense, ranges are hit rarely.
   */
  #search(sector: number): number {
    const { offsets, rangeStarts, rangeShift } = this.data;
    const range = sector < TWO_32 ? sector >>> rangeShift : Math.floor(sector / 2 ** rangeShift);
    // Within a range the high bits are the same.
    const low = sector >>> 0;
    // First segment that begins behind the sector; the one before it may hold the sector.
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
    // The last h with highStarts[h] <= i; a device above 2 TiB has few of them.
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
