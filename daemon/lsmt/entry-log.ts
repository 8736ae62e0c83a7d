// The index entries of a stack before merging, in write order: from the bottom layer to the top, and
// within an append-only upper in the order of its writes. Where entries overlap, the later one wins.
// 16 bytes an entry, in shared memory that build-index.ts reuses for the index.

import { TWO_32 } from '../lib/bytes.js';
import { SECTOR } from './format.js';

/** Passed as `moffset` for a zeroed entry. */
export const ZEROED = -1;
/** Sectors that one entry can map: 14 bits, as on disk. */
export const MAX_ENTRY_LENGTH = 0x3fff;
/** Sectors of the largest device. The log drops sectors past them. */
export const MAX_SECTORS = 2 ** 53 / SECTOR;

/** `spans`: bits 0-13 the length, from 14 on the high bits of the offset. */
export const SPAN_HIGH_SHIFT = 14;

/** `meta`: bits 0-11 the high bits of moffset, 16-23 the layer, 31 zeroed. */
export const META_MOFFSET_HIGH = 0xfff;
export const META_LAYER_SHIFT = 16;
export const META_ZEROED = 0x8000_0000;

export type SharedU32 = Uint32Array<SharedArrayBuffer>;

/** Units: sectors. buildIndex() takes over the arrays. */
export class EntryLog {
  count = 0;
  readonly capacity: number;
  /** Low 32 bits of the offset. */
  offsets: SharedU32;
  spans: SharedU32;
  /** Low 32 bits of moffset; meaningless when zeroed. */
  moffsets: SharedU32;
  meta: SharedU32;

  /** Reserves address space only: the kernel allocates a page when an entry is written to it. */
  constructor(capacity: number) {
    this.capacity = capacity;
    this.offsets = sharedU32(capacity);
    this.spans = sharedU32(capacity);
    this.moffsets = sharedU32(capacity);
    this.meta = sharedU32(capacity);
  }

  /**
   * Appends an entry.
   * @param length 1 to {@link MAX_ENTRY_LENGTH}
   * @param moffset where the data begins in the layer's plain bytes, or {@link ZEROED}
   * @throws RangeError beyond the capacity
   */
  push(offset: number, length: number, moffset: number, layer: number): void {
    const end = Math.min(offset + length, MAX_SECTORS);
    if (offset >= end) return;
    const i = this.count;
    if (i === this.capacity) throw new RangeError(`more than ${i} entries in a log`);
    this.offsets[i] = offset;
    this.spans[i] = (Math.floor(offset / TWO_32) << SPAN_HIGH_SHIFT) | (end - offset);
    const high = layer << META_LAYER_SHIFT;
    if (moffset === ZEROED) {
      this.meta[i] = META_ZEROED | high;
    } else {
      this.moffsets[i] = moffset;
      this.meta[i] = high | Math.floor(moffset / TWO_32);
    }
    this.count = i + 1;
  }

  /** Appends a range of any length as the number of entries that {@link entriesIn} gives. */
  pushRange(offset: number, length: number, moffset: number, layer: number): void {
    for (let done = 0; done < length; done += MAX_ENTRY_LENGTH) {
      const n = Math.min(MAX_ENTRY_LENGTH, length - done);
      this.push(offset + done, n, moffset === ZEROED ? ZEROED : moffset + done, layer);
    }
  }

  offsetOf(i: number): number {
    return ((this.spans[i] as number) >>> SPAN_HIGH_SHIFT) * TWO_32 + (this.offsets[i] as number);
  }

  lengthOf(i: number): number {
    return (this.spans[i] as number) & MAX_ENTRY_LENGTH;
  }

  /** The high bits of the offset. */
  offsetHighOf(i: number): number {
    return (this.spans[i] as number) >>> SPAN_HIGH_SHIFT;
  }

  moffsetOf(i: number): number {
    const high = (this.meta[i] as number) & META_MOFFSET_HIGH;
    return high * TWO_32 + (this.moffsets[i] as number);
  }

  /** The layer and the zeroed bit, at their places in `meta`. */
  tagOf(i: number): number {
    return (this.meta[i] as number) & ~META_MOFFSET_HIGH;
  }
}

/** How many entries a range of `length` sectors takes. */
export function entriesIn(length: number): number {
  return Math.ceil(Math.max(0, length) / MAX_ENTRY_LENGTH);
}

export function sharedU32(length: number): SharedU32 {
  return new Uint32Array(new SharedArrayBuffer(4 * length));
}
