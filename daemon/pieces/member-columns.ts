// The members that a builder of a table of pieces has seen, in columns: a blob may have millions.

import { OverlaybdError } from '../errors.js';
import type { CountedColumns } from '../lib/counted-columns.js';
import type { HeapBudget } from '../lib/heap-budget.js';
import { MAX_HASHED_BYTES, mostStored } from './limits.js';

/** Bytes that each piece counts more when the work for its member is counted. */
const PIECE_COST = 512;
/** Heap for a member whose number is found by its begin: V8 copies the table when it grows. */
const BY_BEGIN_BYTES = 100;
/** What a member takes while the order of all is found: its begin, its place and its stored bytes. */
const FINISH_BYTES = 16;
/** In the column of stored bytes: not known. */
const UNKNOWN = -1;

/** The members of a table of pieces. In shared memory. */
export interface MemberTable {
  /** Byte offset in the blob of each member: a gzip member or zstd frames. */
  readonly begins: Float64Array;
  /** Stored bytes that are read to decode it: up to the next member at most. */
  readonly stored: Uint32Array;
  /** Plain bytes that are wanted of it: up to the end of its last piece. */
  readonly plain: Uint32Array;
  /** The first of its pieces. Those of one member follow each other, with those of other members in between. */
  readonly firstPieces: Uint32Array;
  /** The last of its pieces, plus 1. */
  readonly endPieces: Uint32Array;
  /** Index in CODECS. */
  readonly codecs: Uint8Array;
}

/** A member, as one of its pieces says. */
export interface MemberOfPiece {
  /** Index in CODECS. */
  readonly codec: number;
  /** Byte offset in the blob. */
  readonly begin: number;
  /** Plain bytes of it up to the end of the piece. */
  readonly plain: number;
  /** Stored bytes of it; undefined: those up to the next member. */
  readonly stored: number | undefined;
}

export class MemberColumns {
  readonly #blob: string;
  readonly #columns: CountedColumns;
  readonly #heap: HeapBudget | undefined;
  #count = 0;
  #begins = new Float64Array(64);
  #stored = new Float64Array(64);
  #plain = new Uint32Array(64);
  #firstPieces = new Uint32Array(64);
  #endPieces = new Uint32Array(64);
  #codecs = new Uint8Array(64);
  /** What it takes to check the pieces of each. */
  #hashed = new Float64Array(64);
  /** Numbers of members by their begins; null while each member begins after those before it. */
  #byBegin: Map<number, number> | null = null;

  /**
   * @param blob for messages
   * @param columns announces the memory of columns
   * @param heap what may be kept on the heap; absent: that does not matter
   */
  constructor(blob: string, columns: CountedColumns, heap?: HeapBudget) {
    this.#blob = blob;
    this.#columns = columns;
    this.#heap = heap;
  }

  /**
   * Adds a piece to its member.
   * @param piece its number. @param length its plain bytes
   * @returns the number of the member
   * @throws OverlaybdError LIMIT
   */
  add(
    { codec, begin, plain, stored = UNKNOWN }: MemberOfPiece,
    piece: number,
    length: number,
  ): number {
    let i = this.#numberOf(begin);
    if (i < 0) {
      i = this.#count++;
      if (i >= this.#begins.length) this.#grow(i);
      this.#begins[i] = begin;
      this.#stored[i] = stored;
      this.#firstPieces[i] = piece;
      this.#codecs[i] = codec;
      if (this.#byBegin) {
        this.#spendHeap(1);
        this.#byBegin.set(begin, i);
      }
    }
    this.#plain[i] = Math.max(this.#plain[i] as number, plain);
    this.#endPieces[i] = piece + 1;
    const hashed = (this.#hashed[i] as number) + length + PIECE_COST;
    this.#hashed[i] = hashed;
    if (hashed <= MAX_HASHED_BYTES) return i;
    const text = `its pieces in the member at byte ${begin} overlap: ${hashed} bytes and more, at most ${MAX_HASHED_BYTES}`;
    throw new OverlaybdError('LIMIT', text);
  }

  /** @param blobEnd where the last member ends at the latest */
  finish(blobEnd: number): MemberTable {
    const count = this.#count;
    const columns = this.#columns;
    const begins = this.#begins.subarray(0, count);
    columns.take(FINISH_BYTES * count);
    const stored = new Uint32Array(count);
    // A member ends where the next one in the blob begins, which need not be the next one of the table.
    const sorted = this.#byBegin ? begins.toSorted() : begins;
    const order = new Uint32Array(count).map((_, i) => i);
    if (this.#byBegin) order.sort((a, b) => (begins[a] as number) - (begins[b] as number));
    for (let place = 0; place < count; place++) {
      const i = order[place] as number;
      const known = this.#stored[i] as number;
      const room = (sorted[place + 1] ?? blobEnd) - (begins[i] as number);
      stored[i] = known === UNKNOWN ? Math.min(room, mostStored(this.#plain[i] as number)) : known;
    }
    return {
      begins: columns.sharedCopy(begins, count),
      stored: columns.sharedCopy(stored, count),
      plain: columns.sharedCopy(this.#plain, count),
      firstPieces: columns.sharedCopy(this.#firstPieces, count),
      endPieces: columns.sharedCopy(this.#endPieces, count),
      codecs: columns.sharedCopy(this.#codecs, count),
    };
  }

  /** @returns -1 if there is none yet */
  #numberOf(begin: number): number {
    const last = this.#count - 1;
    if (last < 0) return -1;
    if (!this.#byBegin) {
      const end = this.#begins[last] as number;
      if (begin === end) return last;
      if (begin > end) return -1;
      this.#spendHeap(last + 1);
      this.#byBegin = new Map();
      for (let i = 0; i <= last; i++) this.#byBegin.set(this.#begins[i] as number, i);
    }
    return this.#byBegin.get(begin) ?? -1;
  }

  /** @throws OverlaybdError LIMIT */
  #spendHeap(members: number): void {
    if (!this.#heap || this.#heap.take(members * BY_BEGIN_BYTES)) return;
    const text = `${this.#blob}: its ${this.#count} members so far are not in their order, and finding them takes, with what other layers have, more than ${this.#heap.most} bytes of memory`;
    throw new OverlaybdError('LIMIT', text, { facts: { blob: this.#blob } });
  }

  #grow(i: number): void {
    const columns = this.#columns;
    this.#begins = columns.grown(this.#begins, i);
    this.#stored = columns.grown(this.#stored, i);
    this.#plain = columns.grown(this.#plain, i);
    this.#firstPieces = columns.grown(this.#firstPieces, i);
    this.#endPieces = columns.grown(this.#endPieces, i);
    this.#codecs = columns.grown(this.#codecs, i);
    this.#hashed = columns.grown(this.#hashed, i);
  }
}
