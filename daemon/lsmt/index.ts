// The merged index that reads look into: 16 bytes a segment in shared memory, immutable, mapped by
// every reactor. Built from a SegmentList.

import { SECTOR } from './format.js';
import { ZEROED, type SegmentList } from './segment-list.js';

const TWO_32 = 0x1_0000_0000;
/** `meta`: bits 0-11 the high bits of moffset, 16-23 the layer, 31 zeroed. */
const META_MOFFSET_HIGH = 0xfff;
const META_LAYER_SHIFT = 16;
const META_ZEROED = 0x8000_0000;

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
  readonly meta: Uint32Array<SharedArrayBuffer>;
  /** highStarts[h] is the first segment whose offset is 2^32 h or more: one entry each 2 TiB. */
  readonly highStarts: Uint32Array<SharedArrayBuffer>;
}

/**
 * Packs merged segments, leaving out what lies beyond the device.
 * @param virtualSize bytes of the device, at most 2^53 - 1
 */
export function packIndex(segments: SegmentList, virtualSize: number): LsmtIndexData {
  const sectors = Math.ceil(virtualSize / SECTOR);
  let count = segments.count;
  while (count > 0 && (segments.offsets[count - 1] as number) >= sectors) count--;

  const data: LsmtIndexData = {
    count,
    virtualSize,
    offsets: sharedU32(count),
    lengths: sharedU32(count),
    moffsets: sharedU32(count),
    meta: sharedU32(count),
    highStarts: sharedU32(Math.floor(sectors / TWO_32) + 2),
  };
  let high = 0;
  for (let i = 0; i < count; i++) {
    const offset = segments.offsets[i] as number;
    const moffset = segments.moffsets[i] as number;
    while (high <= Math.floor(offset / TWO_32)) data.highStarts[high++] = i;
    data.offsets[i] = offset % TWO_32;
    data.lengths[i] = Math.min(segments.lengths[i] as number, sectors - offset);
    const layer = (segments.layers[i] as number) << META_LAYER_SHIFT;
    if (moffset === ZEROED) {
      data.meta[i] = META_ZEROED | layer;
    } else {
      data.moffsets[i] = moffset % TWO_32;
      data.meta[i] = layer | Math.floor(moffset / TWO_32);
    }
  }
  data.highStarts.fill(count, high);
  return data;
}

function sharedU32(length: number): Uint32Array<SharedArrayBuffer> {
  return new Uint32Array(new SharedArrayBuffer(4 * length));
}

/** Answers which segment holds a sector. Units: sectors, except where it says bytes. */
export class LsmtIndex {
  readonly data: LsmtIndexData;
  readonly count: number;
  readonly virtualSize: number;

  constructor(data: LsmtIndexData) {
    this.data = data;
    this.count = data.count;
    this.virtualSize = data.virtualSize;
  }

  /**
   * The first segment that ends behind `sector`: the one that holds it, or else the next one.
   * @param hint where the caller looked last; sequential readers are then answered at once
   * @returns `count` when there is none
   */
  find(sector: number, hint: number): number {
    if (hint < this.count && this.offsetOf(hint) <= sector) {
      if (sector < this.endOf(hint)) return hint;
      const next = hint + 1;
      if (next === this.count || sector < this.endOf(next)) return next;
    }
    return this.#search(sector);
  }

  #search(sector: number): number {
    const { offsets, highStarts } = this.data;
    const high = sector < TWO_32 ? 0 : Math.floor(sector / TWO_32);
    const low = sector < TWO_32 ? sector : sector % TWO_32;
    // First segment that begins behind the sector; the one before it may hold the sector.
    let begin = highStarts[high] as number;
    let end = highStarts[high + 1] as number;
    while (begin < end) {
      const middle = (begin + end) >>> 1;
      if ((offsets[middle] as number) <= low) begin = middle + 1;
      else end = middle;
    }
    return begin > 0 && sector < this.endOf(begin - 1) ? begin - 1 : begin;
  }

  offsetOf(i: number): number {
    const low = this.data.offsets[i] as number;
    const { highStarts } = this.data;
    if (highStarts.length === 2) return low;
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
