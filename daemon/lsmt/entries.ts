// Index entries: 16 bytes each to segments, with the rules that the reference checks. Pure.
// Facts 33-37 and 53 of docs/formats.md.

import type { ProblemSink } from '../errors.js';
import { TWO_32, viewOf } from '../lib/bytes.js';
import { FIRST_DATA_SECTOR, INDEX_ENTRY_SIZE } from './format.js';

/** The offset, all 50 bits set, of an entry that only fills space. */
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

/** What entries are checked against. */
export interface EntryRules {
  readonly blob: string;
  /** Byte offset of the index in the blob, for messages. */
  readonly indexOffset: number;
  /** First sector of the blob behind its data. */
  readonly dataEnd: number;
  /** A sealed index is in order and without overlap; an append-only one is in write order. */
  readonly sorted: boolean;
  readonly sink: ProblemSink;
}

/** Parses an index piece by piece, keeping count and order across pieces. */
export class EntryParser {
  readonly #rules: EntryRules;
  readonly #visit: EntryVisitor;
  #index = 0;
  #previousEnd = 0;
  /** Entries that were padding so far. */
  padding = 0;

  constructor(rules: EntryRules, visit: EntryVisitor) {
    this.#rules = rules;
    this.#visit = visit;
  }

  /** Takes the next whole entries. Bad ones go to the sink and are not visited. */
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
      // An entry without length maps nothing; the reference lets most of them pass.
      if (length > 0) this.#visit(offset, length, moffset, zeroed, high1 >>> 24);
    }
  }

  #isGood(offset: number, length: number, moffset: number, zeroed: boolean): boolean {
    const { dataEnd, sorted } = this.#rules;
    if (sorted && offset < this.#previousEnd) {
      return this.#problem('offset', 0, `sector ${this.#previousEnd} or later`, offset);
    }
    // Exactly the reference's conditions: they differ for zeroed and for data entries.
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
