// Parses index entries of 16 bytes and checks them by the rules of the reference ("LSMT" and "Uppers"
// in docs/formats.md). Pure.

import type { ProblemSink } from '../errors.js';
import { TWO_32, viewOf } from '../lib/bytes.js';
import { FIRST_DATA_SECTOR, INDEX_ENTRY_SIZE } from './format.js';

/** A padding entry: all 50 bits of its offset are set. */
const PADDING_HIGH = 0x3ffff;
const PADDING_LOW = 0xffff_ffff;

/** Receives each entry that is not padding, in file order. Units: sectors. */
export type EntryVisitor = (
  offset: number,
  length: number,
  moffset: number,
  zeroed: boolean,
  tag: number,
) => void;

/** The rules for the entries of one index. */
export interface EntryRules {
  readonly blob: string;
  /** Byte offset of the index in the blob, for messages. */
  readonly indexOffset: number;
  /** The sector where the data of the blob ends, exclusive. */
  readonly dataEnd: number;
  /** True for a sealed index: in order, no overlap. False for an append-only one: in write order. */
  readonly sorted: boolean;
  readonly sink: ProblemSink;
}

/** Parses an index piece by piece; entry numbers and the order check continue across pieces. */
export class EntryParser {
  readonly #rules: EntryRules;
  readonly #visit: EntryVisitor;
  #index = 0;
  #previousEnd = 0;
  /** Padding entries so far. */
  padding = 0;

  constructor(rules: EntryRules, visit: EntryVisitor) {
    this.#rules = rules;
    this.#visit = visit;
  }

  /** Parses the next whole entries. Reports bad ones to the sink and does not visit them. */
  push(bytes: Uint8Array): void {
    const view = viewOf(bytes);
    const end = bytes.length - (bytes.length % INDEX_ENTRY_SIZE);
    for (let at = 0; at < end; at += INDEX_ENTRY_SIZE, this.#index++) {
      // w0 = offset[0..49] length[50..63]; w1 = moffset[0..54] zeroed[55] tag[56..63]
      const low0 = view.getUint32(at, true);
      const high0 = view.getUint32(at + 4, true);
      if (low0 === PADDING_LOW && (high0 & PADDING_HIGH) === PADDING_HIGH) {
        this.padding++;
        continue;
      }
      const low1 = view.getUint32(at + 8, true);
      const high1 = view.getUint32(at + 12, true);
      const offset = (high0 & PADDING_HIGH) * TWO_32 + low0;
      const length = high0 >>> 18;
      const moffset = (high1 & 0x7fffff) * TWO_32 + low1;
      const zeroed = (high1 & 0x800000) !== 0;
      if (!this.#isGood(offset, length, moffset, zeroed)) continue;
      this.#previousEnd = offset + length;
      // An entry of length 0 maps nothing; the reference accepts most of them.
      if (length > 0) this.#visit(offset, length, moffset, zeroed, high1 >>> 24);
    }
  }

  #isGood(offset: number, length: number, moffset: number, zeroed: boolean): boolean {
    const { dataEnd, sorted } = this.#rules;
    if (sorted && offset < this.#previousEnd) {
      return this.#problem('offset', 0, `sector ${this.#previousEnd} or later`, offset);
    }
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
      zeroed ? 'moffset (zeroed)' : 'moffset',
      8,
      zeroed
        ? `sectors ${FIRST_DATA_SECTOR} to ${dataEnd}`
        : `a range of sectors from ${FIRST_DATA_SECTOR} to ${dataEnd}, not empty`,
      zeroed ? `${moffset}` : `${moffset} to ${end}`,
    );
  }

  #problem(name: string, field: number, expected: string, got: string | number): false {
    const { blob, indexOffset, sink } = this.#rules;
    sink({
      blob,
      section: `lsmt index entry ${this.#index} ${name}`,
      offset: indexOffset + this.#index * INDEX_ENTRY_SIZE + field,
      expected,
      got,
    });
    return false;
  }
}
