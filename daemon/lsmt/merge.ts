// Merges segment lists: the topmost layer wins, sector by sector. Pure, near linear in segments.

import { OverlaybdError } from '../errors.js';
import { SegmentList, ZEROED } from './segment-list.js';

/**
 * Segments of all layers of one stack together, before and after merging: 256 MiB of index. The
 * reference allows 128,000,000, which is 2 GiB; real images have some 10,000.
 */
export const MAX_STACK_SEGMENTS = 16_777_216;

/**
 * Merges layers into one list.
 * @param layers bottom first; segment `layer` fields are set to the position in this array
 * @throws OverlaybdError LIMIT when the stack has more than {@link MAX_STACK_SEGMENTS}
 */
export function mergeLayers(layers: readonly SegmentList[]): SegmentList {
  const total = layers.reduce((sum, layer) => sum + layer.count, 0);
  if (total > MAX_STACK_SEGMENTS) {
    throw new OverlaybdError(
      'LIMIT',
      `stack of ${layers.length} layers: ${total} segments, at most ${MAX_STACK_SEGMENTS}`,
    );
  }
  layers.forEach((layer, number) => layer.layers.fill(number, 0, layer.count));
  return mergeRange(layers, 0, layers.length);
}

/** Halves meet halves, so that a segment is copied log2(layers) times and not once a layer. */
function mergeRange(layers: readonly SegmentList[], begin: number, end: number): SegmentList {
  if (end - begin === 0) return new SegmentList();
  if (end - begin === 1) return layers[begin] as SegmentList;
  const middle = (begin + end) >>> 1;
  return overlay(mergeRange(layers, middle, end), mergeRange(layers, begin, middle));
}

/** Lays `top` over `bottom`; both in order and without overlap, and so is the result. */
export function overlay(top: SegmentList, bottom: SegmentList): SegmentList {
  if (top.count === 0) return bottom;
  if (bottom.count === 0) return top;
  const out = new SegmentList(top.count + bottom.count);
  const lower = new Cursor(bottom);
  for (let i = 0; i < top.count; i++) {
    const offset = top.offsets[i] as number;
    const length = top.lengths[i] as number;
    lower.copyUntil(offset, out);
    lower.skipUntil(offset + length);
    out.pushJoined(offset, length, top.moffsets[i] as number, top.layers[i] as number);
  }
  lower.copyUntil(Infinity, out);
  return out;
}

/** Walks a list from the front; the current segment may have been used up in part. */
class Cursor {
  readonly #list: SegmentList;
  #next = 0;
  #offset = 0;
  #end = 0;
  #moffset = 0;
  #layer = 0;
  #live = true;

  constructor(list: SegmentList) {
    this.#list = list;
    this.#advance();
  }

  /** Copies everything before `limit`. */
  copyUntil(limit: number, out: SegmentList): void {
    while (this.#live && this.#offset < limit) {
      const end = Math.min(this.#end, limit);
      out.pushJoined(this.#offset, end - this.#offset, this.#moffset, this.#layer);
      this.#consumeUntil(end);
    }
  }

  /** Drops everything before `limit`. */
  skipUntil(limit: number): void {
    while (this.#live && this.#offset < limit) this.#consumeUntil(Math.min(this.#end, limit));
  }

  #consumeUntil(end: number): void {
    if (end === this.#end) {
      this.#advance();
      return;
    }
    if (this.#moffset !== ZEROED) this.#moffset += end - this.#offset;
    this.#offset = end;
  }

  #advance(): void {
    const i = this.#next++;
    this.#live = i < this.#list.count;
    if (!this.#live) return;
    this.#offset = this.#list.offsets[i] as number;
    this.#end = this.#offset + (this.#list.lengths[i] as number);
    this.#moffset = this.#list.moffsets[i] as number;
    this.#layer = this.#list.layers[i] as number;
  }
}
