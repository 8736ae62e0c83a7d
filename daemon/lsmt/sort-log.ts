// Sorts the entries of a log by offset. Of a long log, a radix sort from the highest digit, which writes to few places
// at a time, divides the log until a part fits the processor's cache; there a radix sort from the
// lowest digit finishes the part. Takes 12 bytes an entry besides the log, of which 4 are the result.

import { TWO_32 } from '../lib/bytes.js';
import { memory } from '../native/memory.js';
import { SPAN_HIGH_SHIFT, type EntryLog } from './entry-log.js';

const DIGIT_BITS = 11;
const DIGITS = 1 << DIGIT_BITS;
/** Entries of a part that is sorted in the cache: 20 bytes each, so 1.25 MiB. */
const CACHED_ENTRIES = 1 << 16;
/** A number is exact up to 2^53: room for such an offset, and for the place of one of these entries after it. */
const MAX_KEY_OFFSET = 2 ** 53 / CACHED_ENTRIES;

/** The entries of a log by offset, and entries of the same offset by time of writing. */
export interface LogOrder {
  /** When each entry was written: its place in the log before. null: the log was in order already. */
  readonly times: Uint32Array | null;
  /** Whether the entries have been moved to this order. If not, each is where it was. */
  readonly areMoved: boolean;
}

/**
 * Sorts a log.
 * @param mayStay whether the entries need not be moved
 */
export function sortLog(log: EntryLog, mayStay = false): LogOrder {
  const { count, offsets, spans } = log;
  const makesKeys = mayStay && count <= CACHED_ENTRIES;
  const keys = new Float64Array(makesKeys ? count : 0);
  let last = 0;
  let largest = 0;
  let isInOrder = true;
  for (let i = 0; i < count; i++) {
    const high = (spans[i] as number) >>> SPAN_HIGH_SHIFT;
    const offset = high * TWO_32 + (offsets[i] as number);
    if (offset < last) isInOrder = false;
    if (offset > largest) largest = offset;
    last = offset;
    if (makesKeys) keys[i] = offset * CACHED_ENTRIES + i;
  }
  if (isInOrder) return { times: null, areMoved: false };
  if (makesKeys && largest < MAX_KEY_OFFSET) return { times: timesOf(keys), areMoved: false };
  return { times: new LogSort(log).run(largest), areMoved: true };
}

/**
 * Sorts a log that is as long as those of most images, with V8's own sort of numbers. A start sorts it once,
 * and would be done with the loops of LogSort before V8 has compiled them.
 * @param keys offset and place of each entry
 */
function timesOf(keys: Float64Array): Uint32Array {
  keys.sort();
  const times = new Uint32Array(keys.length);
  for (let k = 0; k < keys.length; k++) times[k] = (keys[k] as number) & (CACHED_ENTRIES - 1);
  return times;
}

class LogSort {
  readonly #log: EntryLog;
  readonly #order: Uint32Array<ArrayBuffer>;
  /** Two, because #spread moves two arrays at a time. */
  readonly #scratch: readonly [Uint32Array<ArrayBuffer>, Uint32Array<ArrayBuffer>];
  readonly #positions = new Uint32Array(CACHED_ENTRIES);
  readonly #others = new Uint32Array(CACHED_ENTRIES);

  constructor(log: EntryLog) {
    this.#log = log;
    this.#order = new Uint32Array(log.count);
    for (let i = 0; i < log.count; i++) this.#order[i] = i;
    this.#scratch = [new Uint32Array(log.count), new Uint32Array(log.count)];
  }

  run(largest: number): Uint32Array {
    this.#sortPart(0, this.#log.count, 0, bitsOf(largest));
    for (const scratch of this.#scratch) memory.releasePages(bytesOf(scratch));
    return this.#order;
  }

  /** @param bits how many bits `offset - base` takes for every entry of the part */
  #sortPart(begin: number, end: number, base: number, bits: number): void {
    if (end - begin < 2 || bits === 0) return;
    if (end - begin <= CACHED_ENTRIES) return this.#sortCached(begin, end, base, bits);
    const below = Math.max(0, bits - DIGIT_BITS);
    const starts = this.#spread(begin, end, base, below);
    for (let digit = 0; digit < DIGITS; digit++) {
      const from = starts[digit] as number;
      this.#sortPart(from, starts[digit + 1] as number, base + digit * 2 ** below, below);
    }
  }

  /** Sorts a part by its highest digit. @returns the first place of each digit, then the end */
  #spread(begin: number, end: number, base: number, below: number): Uint32Array {
    const log = this.#log;
    const scale = 2 ** -below;
    const starts = new Uint32Array(DIGITS + 1);
    for (let i = begin; i < end; i++) {
      const digit = Math.floor((log.offsetOf(i) - base) * scale);
      starts[digit + 1] = (starts[digit + 1] as number) + 1;
    }
    starts[0] = begin;
    for (let digit = 0; digit < DIGITS; digit++) {
      starts[digit + 1] = (starts[digit + 1] as number) + (starts[digit] as number);
    }
    const next = new Uint32Array(DIGITS);
    const [first, second] = this.#scratch;
    const spread = (one: Uint32Array, two: Uint32Array): void => {
      next.set(starts.subarray(0, DIGITS));
      for (let i = begin; i < end; i++) {
        const digit = Math.floor((log.offsetOf(i) - base) * scale);
        const place = next[digit] as number;
        next[digit] = place + 1;
        first[place] = one[i] as number;
        second[place] = two[i] as number;
      }
      one.set(first.subarray(begin, end), begin);
      two.set(second.subarray(begin, end), begin);
    };
    spread(this.#order, log.moffsets);
    next.set(starts.subarray(0, DIGITS));
    for (let i = begin; i < end; i++) {
      const digit = Math.floor((log.offsetOf(i) - base) * scale);
      const place = next[digit] as number;
      next[digit] = place + 1;
      first[place] = log.meta[i] as number;
    }
    log.meta.set(first.subarray(begin, end), begin);
    // The digits are computed from these two arrays, so they move last, and together.
    spread(log.offsets, log.spans);
    return starts;
  }

  /** Sorts the positions digit by digit, lowest first, then arranges the arrays by the positions. */
  #sortCached(begin: number, end: number, base: number, bits: number): void {
    const log = this.#log;
    const count = end - begin;
    let positions = this.#positions;
    let others = this.#others;
    for (let k = 0; k < count; k++) positions[k] = begin + k;
    const next = new Uint32Array(DIGITS);
    for (let shift = 0; shift < bits; shift += DIGIT_BITS) {
      const scale = 2 ** -shift;
      next.fill(0);
      for (let i = begin; i < end; i++) {
        const digit = Math.floor((log.offsetOf(i) - base) * scale) & (DIGITS - 1);
        next[digit] = (next[digit] as number) + 1;
      }
      let sum = 0;
      for (let digit = 0; digit < DIGITS; digit++) {
        const here = next[digit] as number;
        next[digit] = sum;
        sum += here;
      }
      for (let k = 0; k < count; k++) {
        const i = positions[k] as number;
        const digit = Math.floor((log.offsetOf(i) - base) * scale) & (DIGITS - 1);
        const place = next[digit] as number;
        next[digit] = place + 1;
        others[place] = i;
      }
      [positions, others] = [others, positions];
    }
    const sorted = others;
    for (const array of [this.#order, log.offsets, log.spans, log.moffsets, log.meta]) {
      for (let k = 0; k < count; k++) sorted[k] = array[positions[k] as number] as number;
      array.set(sorted.subarray(0, count), begin);
    }
  }
}

/** The number of bits up to the highest one that is set. */
function bitsOf(value: number): number {
  let bits = 0;
  while (2 ** bits <= value) bits++;
  return bits;
}

export function bytesOf(array: Uint32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
