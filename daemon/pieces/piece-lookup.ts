// Where pieces and members lie, whatever form their table has.

import { PackedMembers, PackedPieces } from './packed-blocks.js';
import { isPacked, type PackedTable } from './packed-table.js';
import { CODECS, DIGEST_SIZE, type PieceCodec, type PieceTable } from './piece-table.js';

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
  /** Null if it has none. */
  digest(piece: number): Uint8Array | null;
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

  digest(piece: number): Uint8Array | null {
    const { hasDigest, digests } = this.#table;
    if (hasDigest[piece] !== 1) return null;
    return digests.subarray(piece * DIGEST_SIZE, (piece + 1) * DIGEST_SIZE);
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

class PackedLookup implements PieceLookup {
  readonly count: number;
  readonly members: number;
  readonly #table: PackedTable;
  readonly #pieces: PackedPieces;
  readonly #members: PackedMembers;

  constructor(table: PackedTable) {
    this.count = table.count;
    this.members = table.members;
    this.#table = table;
    this.#pieces = new PackedPieces(table);
    this.#members = new PackedMembers(table);
  }

  find(offset: number): number {
    return this.#pieces.find(offset);
  }

  position(piece: number): number {
    return this.#pieces.positions[this.#pieces.place(piece)] as number;
  }

  length(piece: number): number {
    return this.#pieces.lengths[this.#pieces.place(piece)] as number;
  }

  member(piece: number): number {
    return this.#pieces.members[this.#pieces.place(piece)] as number;
  }

  inner(piece: number): number {
    return this.#pieces.inner[this.#pieces.place(piece)] as number;
  }

  digest(piece: number): Uint8Array | null {
    const number = this.#pieces.digests[this.#pieces.place(piece)] as number;
    if (number < 0) return null;
    return this.#table.digests.subarray(number * DIGEST_SIZE, (number + 1) * DIGEST_SIZE);
  }

  begin(member: number): number {
    return this.#members.begins[this.#members.place(member)] as number;
  }

  stored(member: number): number {
    return this.#members.lengths[this.#members.place(member)] as number;
  }

  plain(member: number): number {
    const last = this.endPiece(member) - 1;
    const further = this.#members.plain[this.#members.place(member)] as number;
    return this.inner(last) + this.length(last) + further;
  }

  firstPiece(member: number): number {
    return this.#members.firstPieces[this.#members.place(member)] as number;
  }

  endPiece(member: number): number {
    return this.#members.endPieces[this.#members.place(member)] as number;
  }

  codec(member: number): PieceCodec {
    return CODECS[this.#members.codecs[this.#members.place(member)] as number] as PieceCodec;
  }
}
