// Where pieces and members lie, whatever form their table has.

import { alignedPiece, CODECS, type PieceCodec, type PieceTable } from './piece-table.js';
import { isPacked, PACKED_BLOCK, packedNumber, type PackedTable } from './packed-table.js';
import { mostStored } from './limits.js';

/** Numbers of pieces are below `count`, numbers of members below `members`. See {@link PieceTable} for the columns. */
export interface PieceLookup {
  readonly count: number;
  readonly members: number;
  /** The first piece that ends after byte `offset` of the source; `count` if none does. */
  find(offset: number): number;
  position(piece: number): number;
  length(piece: number): number;
  /** NO_MEMBER if the piece is zeros. */
  member(piece: number): number;
  inner(piece: number): number;
  hasDigest(piece: number): boolean;
  begin(member: number): number;
  stored(member: number): number;
  plain(member: number): number;
  firstPiece(member: number): number;
  endPiece(member: number): number;
  codec(member: number): PieceCodec;
}

export function lookupOf(table: PieceTable | PackedTable): PieceLookup {
  return isPacked(table) ? new PackedLookup(table) : new ColumnLookup(table);
}

class ColumnLookup implements PieceLookup {
  readonly count: number;
  readonly members: number;
  readonly #table: PieceTable;

  constructor(table: PieceTable) {
    this.count = table.count;
    this.members = table.begins.length;
    this.#table = table;
  }

  find(offset: number): number {
    const { positions, lengths } = this.#table;
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((positions[middle] as number) + (lengths[middle] as number) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  position(piece: number): number {
    return this.#table.positions[piece] as number;
  }

  length(piece: number): number {
    return this.#table.lengths[piece] as number;
  }

  member(piece: number): number {
    return this.#table.members[piece] as number;
  }

  inner(piece: number): number {
    return this.#table.inner[piece] as number;
  }

  hasDigest(piece: number): boolean {
    return this.#table.hasDigest[piece] === 1;
  }

  begin(member: number): number {
    return this.#table.begins[member] as number;
  }

  stored(member: number): number {
    return this.#table.stored[member] as number;
  }

  plain(member: number): number {
    return this.#table.plain[member] as number;
  }

  firstPiece(member: number): number {
    return this.#table.firstPieces[member] as number;
  }

  endPiece(member: number): number {
    return this.#table.endPieces[member] as number;
  }

  codec(member: number): PieceCodec {
    return CODECS[this.#table.codecs[member] as number] as PieceCodec;
  }
}

/** The pieces of a block are walked from its first one on. */
class PackedLookup implements PieceLookup {
  readonly count: number;
  readonly members: number;
  readonly #table: PackedTable;

  constructor(table: PackedTable) {
    this.count = table.count;
    this.members = table.count;
    this.#table = table;
  }

  find(offset: number): number {
    const { blockPositions } = this.#table;
    // The last block that begins at `offset` or before it; the first piece is at 0.
    let low = 0;
    let high = blockPositions.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((blockPositions[middle] as number) <= offset) low = middle;
      else high = middle;
    }
    let position = blockPositions[low] as number;
    let piece = low * PACKED_BLOCK;
    for (; piece < this.count; piece++) {
      const end = position + this.length(piece);
      if (end > offset) break;
      position = alignedPiece(end);
    }
    return piece;
  }

  position(piece: number): number {
    const first = piece - (piece % PACKED_BLOCK);
    let position = this.#table.blockPositions[first / PACKED_BLOCK] as number;
    for (let i = first; i < piece; i++) position = alignedPiece(position + this.length(i));
    return position;
  }

  length(piece: number): number {
    return packedNumber(this.#table.lengths, piece);
  }

  member(piece: number): number {
    return piece;
  }

  inner(): number {
    return 0;
  }

  hasDigest(): boolean {
    return true;
  }

  begin(member: number): number {
    const first = member - (member % PACKED_BLOCK);
    let begin = this.#table.blockBegins[first / PACKED_BLOCK] as number;
    for (let i = first; i < member; i++) begin += packedNumber(this.#table.steps, i);
    return begin;
  }

  stored(member: number): number {
    return Math.min(packedNumber(this.#table.steps, member), mostStored(this.length(member)));
  }

  plain(member: number): number {
    return this.length(member);
  }

  firstPiece(member: number): number {
    return member;
  }

  endPiece(member: number): number {
    return member + 1;
  }

  codec(): PieceCodec {
    return CODECS[this.#table.codec] as PieceCodec;
  }
}
