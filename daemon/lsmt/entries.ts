// Parses index entries of 16 bytes and checks them by the rules of the reference ("LSMT" and "Uppers"
// in docs/formats.md). Pure.

import type { ProblemSink } from '../errors.js';
import { TWO_32 } from '../lib/bytes.js';
import {
  MAX_SECTORS,
  META_LAYER_SHIFT,
  META_MOFFSET_HIGH,
  SPAN_HIGH_SHIFT,
  ZEROED,
  type EntryLog,
} from './entry-log.js';
import { FIRST_DATA_SECTOR, INDEX_ENTRY_SIZE } from './format.js';

/** Numbers of 32 bits that an entry takes. */
export const ENTRY_WORDS = 4;

/** The offset of a padding entry: all 50 bits are set. */
const PADDING_OFFSET = 2 ** 50 - 1;

const OFFSET_HIGH = 0x3ffff;
const LENGTH_SHIFT = 18;
const MOFFSET_HIGH = 0x7f_ffff;
const ZEROED_BIT = 0x80_0000;
const TAG_SHIFT = 24;
/** The tag of an entry that maps a range of the target. */
const TARGET_TAG = 1;

/** The rules for the entries of one index. */
export interface EntryRules {
  readonly blob: string;
  /** Byte offset of the index in the blob, for messages. */
  readonly indexOffset: number;
  /** The sector where the data of the blob ends, exclusive. */
  readonly dataEnd: number;
  /** True for a sealed index: in order, no overlap. False for an append-only one: in write order. */
  readonly sorted: boolean;
  /** Null: all entries map ranges of the blob, whatever their tags are. */
  readonly target: TargetRules | null;
  readonly sink: ProblemSink;
}

/** The rules for entries with the tag 1: they map ranges of another source. */
export interface TargetRules {
  /** The number that they get in the log. */
  readonly layer: number;
  /** The sector where the target ends, exclusive. */
  readonly end: number;
}

/**
 * Parses an index piece by piece into a log; entry numbers and the order check continue across pieces. The log gets
 * every entry that maps something, in file order.
 */
export class EntryParser {
  readonly #rules: EntryRules;
  readonly #log: EntryLog;
  readonly #layer: number;
  /** Number of the next entry. */
  #next = 0;
  #previousEnd = 0;
  /** Padding entries so far. */
  padding = 0;

  /** @param layer the number that the entries get in the log */
  constructor(rules: EntryRules, log: EntryLog, layer: number) {
    this.#rules = rules;
    this.#log = log;
    this.#layer = layer;
  }

  /**
   * Parses the next whole entries. Reports bad ones to the sink and leaves them out.
   *
   * The loop itself does what most entries need, as {@link EntryLog.push} would. A start runs it a few thousand times,
   * before V8 has compiled it; with calls for each entry this took twice as long, and V8 as much again to compile them.
   * @param words as on disk, little-endian: x86-64 and arm64 are little-endian, too
   * @throws RangeError if the log has no room, and what the sink throws
   */
  push(words: Uint32Array): void {
    const { dataEnd, sorted, target } = this.#rules;
    const log = this.#log;
    const tagMask = target ? -1 << TAG_SHIFT : 0;
    const { offsets, spans, moffsets, meta, capacity } = log;
    const layer = this.#layer << META_LAYER_SHIFT;
    const first = this.#next;
    let count = log.count;
    let floor = sorted ? this.#previousEnd : 0;
    for (let at = 0; at < words.length; at += ENTRY_WORDS) {
      // Two u64: offset[0..49] length[50..63]; moffset[0..54] zeroed[55] tag[56..63]
      const low0 = words[at] as number;
      const high0 = words[at + 1] as number;
      const low1 = words[at + 2] as number;
      const high1 = words[at + 3] as number;
      const offset = (high0 & OFFSET_HIGH) * TWO_32 + low0;
      const length = high0 >>> LENGTH_SHIFT;
      const end = offset + length;
      const moffset = (high1 & MOFFSET_HIGH) * TWO_32 + low1;
      if (
        (high1 & (ZEROED_BIT | tagMask)) === 0 &&
        length > 0 &&
        offset >= floor &&
        end <= MAX_SECTORS &&
        moffset >= FIRST_DATA_SECTOR &&
        moffset + length <= dataEnd &&
        count < capacity
      ) {
        offsets[count] = low0;
        spans[count] = (high0 << SPAN_HIGH_SHIFT) | length;
        moffsets[count] = low1;
        meta[count] = layer | (high1 & META_MOFFSET_HIGH);
        count++;
        if (sorted) floor = end;
        continue;
      }
      log.count = count;
      this.#previousEnd = floor;
      this.#pushOther(
        first + at / ENTRY_WORDS,
        offset,
        length,
        moffset,
        (high1 & ZEROED_BIT) !== 0,
        (high1 & tagMask) >>> TAG_SHIFT,
      );
      if (sorted) floor = this.#previousEnd;
      count = log.count;
    }
    log.count = count;
    this.#previousEnd = floor;
    this.#next = first + words.length / ENTRY_WORDS;
  }

  /** Any entry: also one that is padding, zeroed, of length 0, of a target, or bad. */
  #pushOther(
    number: number,
    offset: number,
    length: number,
    moffset: number,
    zeroed: boolean,
    tag: number,
  ): void {
    if (offset === PADDING_OFFSET) {
      this.padding++;
      return;
    }
    const { target } = this.#rules;
    const good =
      this.#isInOrder(number, offset) &&
      (target && tag !== 0 && !zeroed
        ? this.#isGoodInTarget(number, length, moffset, tag, target.end)
        : this.#isGood(number, length, moffset, zeroed));
    if (!good) return;
    this.#previousEnd = offset + length;
    const layer = target && tag === TARGET_TAG ? target.layer : this.#layer;
    // An entry of length 0 maps nothing; the reference accepts most of them.
    if (length > 0) this.#log.push(offset, length, zeroed ? ZEROED : moffset, layer);
  }

  #isInOrder(number: number, offset: number): boolean {
    if (!this.#rules.sorted || offset >= this.#previousEnd) return true;
    return this.#problem(number, 'offset', 0, `sector ${this.#previousEnd} or later`, offset);
  }

  #isGoodInTarget(
    number: number,
    length: number,
    moffset: number,
    tag: number,
    end: number,
  ): boolean {
    if (tag !== TARGET_TAG) return this.#problem(number, 'tag', 15, `0 or ${TARGET_TAG}`, tag);
    if (moffset + length <= end) return true;
    const expected = `a range of sectors of the target, which has ${end}`;
    return this.#problem(number, 'moffset', 8, expected, `${moffset} to ${moffset + length}`);
  }

  #isGood(number: number, length: number, moffset: number, zeroed: boolean): boolean {
    const { dataEnd, target } = this.#rules;
    // The reference looks at none of a layer with a target, and its zeroed entries may have any.
    if (target && zeroed) return true;
    // Exactly the conditions of the reference, which differ for zeroed and data entries.
    const end = moffset + length;
    const good = zeroed
      ? moffset >= FIRST_DATA_SECTOR && moffset <= dataEnd
      : moffset >= FIRST_DATA_SECTOR &&
        moffset < dataEnd &&
        end > FIRST_DATA_SECTOR &&
        end <= dataEnd;
    if (good) return true;
    return this.#problem(
      number,
      zeroed ? 'moffset (zeroed)' : 'moffset',
      8,
      zeroed
        ? `sectors ${FIRST_DATA_SECTOR} to ${dataEnd}`
        : `a range of sectors from ${FIRST_DATA_SECTOR} to ${dataEnd}, not empty`,
      zeroed ? `${moffset}` : `${moffset} to ${end}`,
    );
  }

  #problem(
    number: number,
    name: string,
    field: number,
    expected: string,
    got: string | number,
  ): false {
    const { blob, indexOffset, sink } = this.#rules;
    sink({
      blob,
      section: `lsmt index entry ${number} ${name}`,
      offset: indexOffset + number * INDEX_ENTRY_SIZE + field,
      expected,
      got,
    });
    return false;
  }
}
