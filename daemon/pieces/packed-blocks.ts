// Packed tables are read block by block: the block that was read last stays unpacked, because the next question is usually
// about it.

import { PACKED_BLOCK, unfolded, unpackBlock, type PackedNumbers } from './packed-numbers.js';
import { afterHeader, ZEROS, type PackedTable } from './packed-table.js';
import { alignedPiece, NO_MEMBER } from './piece-table.js';

function room(): Float64Array {
  return new Float64Array(PACKED_BLOCK);
}

/** A block of a table: the one that was asked for last. */
abstract class UnpackedBlock {
  /** Its number; -1 before the first call of `place`. */
  protected block = -1;

  /** Where the columns have a piece or a member. They change with the next call. */
  place(item: number): number {
    const place = item % PACKED_BLOCK;
    const block = (item - place) / PACKED_BLOCK;
    if (block !== this.block) this.unpack(block);
    this.block = block;
    return place;
  }

  protected abstract unpack(block: number): void;
}

/** The pieces of the block that was asked for last. */
export class PackedPieces extends UnpackedBlock {
  /** See PieceTable; by the places that `place` gives. */
  readonly positions = room();
  readonly lengths = room();
  readonly members = room();
  readonly inner = room();
  /** The number of each digest; -1: it has none. */
  readonly digests = room();
  readonly #count: number;
  readonly #table: PackedTable['pieces'];

  constructor({ count, pieces }: PackedTable) {
    super();
    this.#count = count;
    this.#table = pieces;
  }

  /** The first piece that ends after byte `offset` of the source; `count` if none does. */
  find(offset: number): number {
    const { ends } = this.#table;
    let low = this.block;
    const isHere =
      low >= 0 &&
      (ends[low] as number) <= offset &&
      (low + 1 === ends.length || (ends[low + 1] as number) > offset);
    if (!isHere) {
      // The last block in front of which all pieces end at `offset` or before it.
      low = 0;
      for (let high = ends.length; high - low > 1;) {
        const middle = (low + high) >>> 1;
        if ((ends[middle] as number) <= offset) low = middle;
        else high = middle;
      }
    }
    // Blocks in front of it end at `offset` or before it, and so may the whole block: the next one is looked at, too.
    for (let first = low * PACKED_BLOCK; first < this.#count; first += PACKED_BLOCK) {
      this.place(first);
      const piece = first + this.#findHere(offset, Math.min(PACKED_BLOCK, this.#count - first));
      if (piece < first + PACKED_BLOCK) return Math.min(piece, this.#count);
    }
    return this.#count;
  }

  /** The place of the first piece of the unpacked block that ends after `offset`; `count` if none of so many does. */
  #findHere(offset: number, count: number): number {
    const { positions, lengths } = this;
    let low = 0;
    for (let high = count; low < high;) {
      const middle = (low + high) >>> 1;
      if ((positions[middle] as number) + (lengths[middle] as number) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  protected unpack(block: number): void {
    const { gaps, lengths, members, inner, undigested } = this.#table;
    const count = Math.min(PACKED_BLOCK, this.#count - block * PACKED_BLOCK);
    unpackBlock(gaps, block, count, this.positions);
    unpackBlock(lengths, block, count, this.lengths);
    unpackBlock(members, block, count, this.members);
    unpackBlock(inner, block, count, this.inner);
    unpackBlock(undigested, block, count, this.digests);
    let end = this.#table.ends[block] as number;
    let nextMember = this.#table.nextMembers[block] as number;
    let innerEnd = this.#table.innerEnds[block] as number;
    let digested = this.#table.digested[block] as number;
    for (let i = 0; i < count; i++) {
      const position = alignedPiece(end) + unfolded(this.positions[i] as number);
      const length = this.lengths[i] as number;
      const code = this.members[i] as number;
      this.positions[i] = position;
      end = position + length;
      if (code === ZEROS) {
        this.members[i] = NO_MEMBER;
        this.digests[i] = -1;
        continue;
      }
      const member = code === 0 ? nextMember : nextMember + unfolded(code - 1);
      const likely = code === 0 ? 0 : afterHeader(innerEnd);
      const at = likely + unfolded(this.inner[i] as number);
      this.members[i] = member;
      this.inner[i] = at;
      this.digests[i] = this.digests[i] === 0 ? digested++ : -1;
      nextMember = member + 1;
      innerEnd = at + length;
    }
  }
}

/** The members of the block that was asked for last. */
export class PackedMembers extends UnpackedBlock {
  /** See PieceTable; by the places that `place` gives. */
  readonly begins = room();
  readonly lengths = room();
  readonly firstPieces = room();
  readonly endPieces = room();
  readonly codecs = room();
  /** Plain bytes, from the end of the last piece of the member. */
  readonly plain = room();
  readonly #count: number;
  readonly #codec: number;
  readonly #table: PackedTable['stored'];

  constructor({ members, codec, stored }: PackedTable) {
    super();
    this.#count = members;
    this.#codec = codec;
    this.#table = stored;
  }

  protected unpack(block: number): void {
    const table = this.#table;
    const count = Math.min(PACKED_BLOCK, this.#count - block * PACKED_BLOCK);
    const columns: readonly [PackedNumbers, Float64Array][] = [
      [table.gaps, this.begins],
      [table.lengths, this.lengths],
      [table.firstPieces, this.firstPieces],
      [table.furtherPieces, this.endPieces],
      [table.codecs, this.codecs],
      [table.plain, this.plain],
    ];
    for (const [packed, into] of columns) unpackBlock(packed, block, count, into);
    let end = table.ends[block] as number;
    let nextPiece = table.nextPieces[block] as number;
    for (let i = 0; i < count; i++) {
      const begin = end + unfolded(this.begins[i] as number);
      const first = nextPiece + unfolded(this.firstPieces[i] as number);
      nextPiece = first + (this.endPieces[i] as number) + 1;
      end = begin + (this.lengths[i] as number);
      const code = this.codecs[i] as number;
      this.begins[i] = begin;
      this.firstPieces[i] = first;
      this.endPieces[i] = nextPiece;
      this.codecs[i] = code === 0 ? this.#codec : code - 1;
      this.plain[i] = unfolded(this.plain[i] as number);
    }
  }
}
