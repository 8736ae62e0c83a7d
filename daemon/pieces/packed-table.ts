// A table of pieces in the least memory: most tables of contents have a member for each piece, members in the order of
// the blob, and files that follow each other. Then two numbers and the digest say all of a piece. They are in blocks,
// and each block has as many bytes a number as its largest one needs.

import { DIGEST_SIZE, alignedPiece, type PieceTable } from './piece-table.js';
import { mostStored } from './limits.js';

/** Pieces of a block: one position in the source and one in the blob are kept for all of them. */
export const PACKED_BLOCK = 32;
/** Bytes of a number at most. */
const MAX_WIDTH = 4;

type Columns =
  | 'positions'
  | 'lengths'
  | 'members'
  | 'inner'
  | 'hasDigest'
  | 'begins'
  | 'stored'
  | 'plain'
  | 'firstPieces'
  | 'endPieces'
  | 'codecs';

/** Whole numbers from 0 to 2^32 - 1, in shared memory. */
export interface PackedNumbers {
  /** Of each block, where its numbers begin in `bytes`. */
  readonly starts: Uint32Array;
  /** Of each block, the bytes of one number: little-endian. */
  readonly widths: Uint8Array;
  readonly bytes: Uint8Array;
}

/** Piece i is all of member i. See {@link PieceTable} for the rest. */
export interface PackedTable extends Omit<PieceTable, Columns> {
  /** Of the first piece of each block: byte offset in the source. */
  readonly blockPositions: Float64Array;
  /** Of the first piece of each block: byte offset in the blob. */
  readonly blockBegins: Float64Array;
  readonly lengths: PackedNumbers;
  /** Bytes from the begin of each member to that of the next one; of the last, its stored bytes. */
  readonly steps: PackedNumbers;
  /** Of all members: index in CODECS. */
  readonly codec: number;
}

/** @returns the table itself if it is not of this kind */
export function packTable(table: PieceTable): PieceTable | PackedTable {
  const steps = stepsOf(table);
  if (steps === null) return table;
  const { count, size, hash, digests, positions, lengths, begins, codecs } = table;
  return {
    count,
    size,
    hash,
    digests,
    blocks: null,
    storedDigests: null,
    blockPositions: everyBlock(positions),
    blockBegins: everyBlock(begins),
    lengths: packNumbers(lengths),
    steps: packNumbers(steps),
    codec: codecs[0] as number,
  };
}

export function isPacked(table: PieceTable | PackedTable): table is PackedTable {
  return 'blockPositions' in table;
}

/** Bytes of memory that a table takes. */
export function packedBytes({
  count,
  blockPositions,
  blockBegins,
  lengths,
  steps,
}: PackedTable): number {
  const numbers = [lengths, steps].map(({ starts, widths, bytes }) => {
    return starts.byteLength + widths.byteLength + bytes.byteLength;
  });
  const blocks = blockPositions.byteLength + blockBegins.byteLength;
  return numbers.reduce((sum, bytes) => sum + bytes, DIGEST_SIZE * count + blocks);
}

export function packedNumber({ starts, widths, bytes }: PackedNumbers, i: number): number {
  const block = Math.floor(i / PACKED_BLOCK);
  const width = widths[block] as number;
  const at = (starts[block] as number) + (i % PACKED_BLOCK) * width;
  let value = bytes[at] as number;
  for (let k = 1, unit = 256; k < width; k++, unit *= 256)
    value += (bytes[at + k] as number) * unit;
  return value;
}

/** @internal for its unit test */
export function packNumbers(numbers: ArrayLike<number>): PackedNumbers {
  const blocks = Math.ceil(numbers.length / PACKED_BLOCK);
  const starts = new Uint32Array(new SharedArrayBuffer(4 * blocks));
  const widths = new Uint8Array(new SharedArrayBuffer(blocks));
  let size = 0;
  for (let block = 0; block < blocks; block++) {
    const first = block * PACKED_BLOCK;
    const end = Math.min(first + PACKED_BLOCK, numbers.length);
    let width = 1;
    for (let i = first; i < end; i++) {
      while ((numbers[i] as number) >= 256 ** width) width++;
    }
    starts[block] = size;
    widths[block] = width;
    size += width * (end - first);
  }
  const bytes = new Uint8Array(new SharedArrayBuffer(size));
  for (let i = 0, at = 0; i < numbers.length; i++) {
    let value = numbers[i] as number;
    const width = widths[Math.floor(i / PACKED_BLOCK)] as number;
    for (let k = 0; k < width; k++) {
      bytes[at++] = value % 256;
      value = Math.floor(value / 256);
    }
  }
  return { starts, widths, bytes };
}

/** @returns null unless the table says nothing that a packed one cannot say */
function stepsOf(table: PieceTable): Float64Array | null {
  const { count, positions, lengths, members, inner, hasDigest, begins, stored, plain } = table;
  const { codecs, firstPieces, endPieces } = table;
  if (count === 0 || begins.length !== count || table.blocks !== null) return null;
  if (table.storedDigests !== null) return null;
  const steps = new Float64Array(count);
  let position = 0;
  for (let i = 0; i < count; i++) {
    const length = lengths[i] as number;
    const isAll = members[i] === i && inner[i] === 0 && plain[i] === length && hasDigest[i] === 1;
    const isOne = firstPieces[i] === i && endPieces[i] === i + 1 && codecs[i] === codecs[0];
    const isNext = i === 0 ? positions[0] === 0 : positions[i] === alignedPiece(position);
    const begin = begins[i] as number;
    const step = i + 1 < count ? (begins[i + 1] as number) - begin : (stored[i] as number);
    const isStored = step >= 0 && stored[i] === Math.min(step, mostStored(length));
    if (!(isAll && isOne && isNext && isStored && step < 256 ** MAX_WIDTH)) return null;
    steps[i] = step;
    position = (positions[i] as number) + length;
  }
  return steps;
}

function everyBlock(values: Float64Array): Float64Array {
  const count = Math.ceil(values.length / PACKED_BLOCK);
  const kept = new Float64Array(new SharedArrayBuffer(8 * count));
  for (let block = 0; block < count; block++) {
    kept[block] = values[block * PACKED_BLOCK] as number;
  }
  return kept;
}
