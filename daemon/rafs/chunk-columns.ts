// The table of a blob whose chunks are stored by themselves: each is a piece and a member. In columns from the beginning.

import {
  CODECS,
  DIGEST_SIZE,
  NO_MEMBER,
  sourceSize,
  type PieceCodec,
  type PieceHash,
  type PieceTable,
} from '../pieces/piece-table.js';

/** What a record of the table says of where its chunk is. */
export interface ChunkPlace {
  /** Byte offset of the record in the bootstrap. */
  readonly at: number;
  /** Byte offset in the plain bytes of the blob. */
  readonly offset: number;
  /** Plain bytes. */
  readonly length: number;
  readonly isHole: boolean;
  readonly isCompressed: boolean;
  /** Byte offset in the blob, and stored bytes. */
  readonly begin: number;
  readonly stored: number;
}

/** One record of the table. */
export interface Chunk extends ChunkPlace {
  readonly number: number;
  readonly digest: Buffer;
}

/** Memory for each chunk, with what finds two that begin at the same byte. */
export const CHUNK_BYTES = 3 * 8 + 7 * 4 + DIGEST_SIZE + 2;

export class ChunkColumns {
  readonly #table: Omit<PieceTable, 'size' | 'count'>;
  #pieces = 0;
  #members = 0;
  #end = 0;

  /** @param count chunks at most */
  constructor(count: number, hash: PieceHash) {
    const numbers = (): Uint32Array => new Uint32Array(new SharedArrayBuffer(4 * count));
    this.#table = {
      hash,
      positions: new Float64Array(new SharedArrayBuffer(8 * count)),
      lengths: numbers(),
      members: numbers(),
      inner: numbers(),
      digests: new Uint8Array(new SharedArrayBuffer(DIGEST_SIZE * count)),
      hasDigest: new Uint8Array(new SharedArrayBuffer(count)),
      begins: new Float64Array(new SharedArrayBuffer(8 * count)),
      stored: numbers(),
      plain: numbers(),
      firstPieces: numbers(),
      endPieces: numbers(),
      codecs: new Uint8Array(new SharedArrayBuffer(count)),
      blocks: null,
      storedDigests: null,
    };
  }

  /**
   * Chunks come in the order of their places in the plain bytes.
   * @param bytes of the bootstrap
   */
  add(
    { at, offset, length, isHole, begin, stored }: ChunkPlace,
    bytes: Uint8Array,
    codec: PieceCodec,
  ): void {
    const table = this.#table;
    const piece = this.#pieces++;
    table.positions[piece] = offset;
    table.lengths[piece] = length;
    table.members[piece] = isHole ? NO_MEMBER : this.#members;
    this.#end = offset + length;
    if (isHole) return;
    // Byte by byte: an object for each part of the bootstrap takes longer.
    const { digests } = table;
    for (let i = 0; i < DIGEST_SIZE; i++)
      digests[piece * DIGEST_SIZE + i] = bytes[at + i] as number;
    table.hasDigest[piece] = 1;
    const member = this.#members++;
    table.begins[member] = begin;
    table.stored[member] = stored;
    table.plain[member] = length;
    table.firstPieces[member] = piece;
    table.endPieces[member] = piece + 1;
    table.codecs[member] = CODECS.indexOf(codec);
  }

  /** Where two chunks begin in the blob; null: there are no such two. */
  beginOfTwo(): number | null {
    const begins = this.#table.begins.subarray(0, this.#members);
    if (isAscending(begins)) return null;
    const sorted = begins.toSorted();
    const i = sorted.findIndex((begin, n) => n > 0 && sorted[n - 1] === begin);
    return i < 0 ? null : (sorted[i] as number);
  }

  /** No further one may be added. */
  finish(): PieceTable {
    const table = this.#table;
    const n = this.#members;
    return {
      ...table,
      count: this.#pieces,
      size: sourceSize(this.#end),
      begins: table.begins.subarray(0, n),
      stored: table.stored.subarray(0, n),
      plain: table.plain.subarray(0, n),
      firstPieces: table.firstPieces.subarray(0, n),
      endPieces: table.endPieces.subarray(0, n),
      codecs: table.codecs.subarray(0, n),
    };
  }
}

/** Whether each number is above the one before it. */
function isAscending(numbers: Float64Array): boolean {
  for (let i = 1; i < numbers.length; i++) {
    if ((numbers[i - 1] as number) >= (numbers[i] as number)) return false;
  }
  return true;
}
