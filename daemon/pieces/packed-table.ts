// A table of pieces in the least memory. Each number is kept as its difference from what the numbers before it suggest: a
// file begins at the next block, a member where the one before it ends, and most pieces have a member of their own. Then a
// piece takes its digest and the bytes of two lengths. Any table can be packed; an unusual one takes more.

import type { TableEffort } from '../lib/counted-columns.js';
import { UNBOUNDED } from '../lib/effort.js';
import {
  folded,
  PACKED_BLOCK,
  packedSize,
  packNumbers,
  type PackedNumbers,
} from './packed-numbers.js';
import {
  alignedPiece,
  DIGEST_SIZE,
  NO_MEMBER,
  tableBytes,
  windowBytes,
  type PieceTable,
} from './piece-table.js';

/** Bytes of a header of an archive. Pieces in one member usually have one such header between them. */
const HEADER_SIZE = 512;

/** In the column of members: a piece that is zeros; a number above it is 1 more than the folded difference. */
export const ZEROS = 1;

type Shared = 'count' | 'size' | 'hash' | 'blocks' | 'storedDigests';

/** What PieceTable has, in blocks of PACKED_BLOCK pieces and of as many members. */
export interface PackedTable extends Pick<PieceTable, Shared> {
  /** How many members. */
  readonly members: number;
  /** Of those pieces that have one, DIGEST_SIZE bytes each. */
  readonly digests: Uint8Array;
  readonly pieces: {
    /** Before the first piece of each block: where the last one ends in the source. */
    readonly ends: Float64Array;
    /** The member that comes next. */
    readonly nextMembers: Uint32Array;
    /** Where the last one ends in its member. */
    readonly innerEnds: Uint32Array;
    /** How many have a digest. */
    readonly digested: Uint32Array;
    /** Positions, from the first block of a file that they can be at. Folded. */
    readonly gaps: PackedNumbers;
    readonly lengths: PackedNumbers;
    /** 0: the next member; {@link ZEROS}; or the folded difference from the next one, plus 1. */
    readonly members: PackedNumbers;
    /** From 0 if the member is the next one, else from the end of the last piece and a header. Folded. */
    readonly inner: PackedNumbers;
    /** 1 for each that is stored and has no digest. */
    readonly undigested: PackedNumbers;
  };
  readonly stored: {
    /** Before the first member of each block: where the last one ends in the blob. */
    readonly ends: Float64Array;
    /** The piece that comes next. */
    readonly nextPieces: Uint32Array;
    /** Where it begins in the blob, from the end of the one before. Folded. */
    readonly gaps: PackedNumbers;
    readonly lengths: PackedNumbers;
    /** Its plain bytes, from the end of its last piece. Folded. */
    readonly plain: PackedNumbers;
    /** Its first piece, from the next one. Folded. */
    readonly firstPieces: PackedNumbers;
    /** How many pieces follow its first one up to its last one. */
    readonly furtherPieces: PackedNumbers;
    /** 0 if it is that of the first member, else 1 more than its index in CODECS. */
    readonly codecs: PackedNumbers;
  };
  /** Index in CODECS of the codec of the first member. */
  readonly codec: number;
}

/** What packing takes of memory for each piece and each member: their differences. */
const PIECE_DIFFERENCES = 4 * 8;
const MEMBER_DIFFERENCES = 5 * 8;

/**
 * Any table, with positions and places below 2^52. It must not be used any more.
 * @param blob for messages
 * @param effort counts the packed table instead of the other one, which it has counted
 * @throws OverlaybdError LIMIT
 */
export function packTable(
  table: PieceTable,
  blob = '',
  effort: TableEffort = UNBOUNDED,
): PackedTable {
  const differences = table.count * PIECE_DIFFERENCES + table.begins.length * MEMBER_DIFFERENCES;
  effort.keep(differences, blob);
  const packed = inBlocks(table);
  effort.keep(packedBytes(packed) - tableBytes(table) - differences, blob);
  return packed;
}

function inBlocks(table: PieceTable): PackedTable {
  const { count, size, hash, blocks, storedDigests, begins, codecs } = table;
  return {
    count,
    size,
    hash,
    blocks,
    storedDigests,
    members: begins.length,
    digests: digestsOf(table),
    pieces: packPieces(table),
    stored: packMembers(table),
    codec: codecs[0] ?? 0,
  };
}

export function isPacked(table: PieceTable | PackedTable): table is PackedTable {
  return 'pieces' in table;
}

/** Bytes of memory that a table takes. @internal Tests compare it with what was counted. */
export function packedBytes({
  digests,
  pieces,
  stored,
  blocks,
  storedDigests,
}: PackedTable): number {
  const columns: readonly (PackedNumbers | ArrayBufferView)[] = [
    digests,
    ...Object.values(pieces),
    ...Object.values(stored),
  ];
  const own = columns.reduce((sum, column) => {
    return sum + ('widths' in column ? packedSize(column) : column.byteLength);
  }, 0);
  return own + windowBytes(blocks) + (storedDigests?.length ?? 0);
}

function packPieces(table: PieceTable): PackedTable['pieces'] {
  const { count, positions, lengths, members, inner, hasDigest } = table;
  const each = (): Float64Array => new Float64Array(count);
  const differences = { gaps: each(), members: each(), inner: each(), undigested: each() };
  const blocks = Math.ceil(count / PACKED_BLOCK);
  const starts = {
    ends: new Float64Array(new SharedArrayBuffer(8 * blocks)),
    nextMembers: new Uint32Array(new SharedArrayBuffer(4 * blocks)),
    innerEnds: new Uint32Array(new SharedArrayBuffer(4 * blocks)),
    digested: new Uint32Array(new SharedArrayBuffer(4 * blocks)),
  };
  let end = 0;
  let nextMember = 0;
  let innerEnd = 0;
  let digested = 0;
  for (let i = 0; i < count; i++) {
    if (i % PACKED_BLOCK === 0) {
      const block = i / PACKED_BLOCK;
      starts.ends[block] = end;
      starts.nextMembers[block] = nextMember;
      starts.innerEnds[block] = innerEnd;
      starts.digested[block] = digested;
    }
    const position = positions[i] as number;
    const length = lengths[i] as number;
    const member = members[i] as number;
    differences.gaps[i] = folded(position - alignedPiece(end));
    end = position + length;
    if (member === NO_MEMBER) {
      differences.members[i] = ZEROS;
      continue;
    }
    const isNext = member === nextMember;
    const at = inner[i] as number;
    differences.members[i] = isNext ? 0 : folded(member - nextMember) + 1;
    differences.inner[i] = folded(at - (isNext ? 0 : afterHeader(innerEnd)));
    nextMember = member + 1;
    innerEnd = at + length;
    if (hasDigest[i] === 1) digested++;
    else differences.undigested[i] = 1;
  }
  return {
    ...starts,
    gaps: packNumbers(differences.gaps),
    lengths: packNumbers(lengths),
    members: packNumbers(differences.members),
    inner: packNumbers(differences.inner),
    undigested: packNumbers(differences.undigested),
  };
}

function packMembers(table: PieceTable): PackedTable['stored'] {
  const { begins, stored, plain, firstPieces, endPieces, codecs, inner, lengths } = table;
  const count = begins.length;
  const each = (): Float64Array => new Float64Array(count);
  const differences = {
    gaps: each(),
    plain: each(),
    firstPieces: each(),
    furtherPieces: each(),
    codecs: each(),
  };
  const blocks = Math.ceil(count / PACKED_BLOCK);
  const starts = {
    ends: new Float64Array(new SharedArrayBuffer(8 * blocks)),
    nextPieces: new Uint32Array(new SharedArrayBuffer(4 * blocks)),
  };
  let end = 0;
  let nextPiece = 0;
  for (let i = 0; i < count; i++) {
    if (i % PACKED_BLOCK === 0) {
      starts.ends[i / PACKED_BLOCK] = end;
      starts.nextPieces[i / PACKED_BLOCK] = nextPiece;
    }
    const begin = begins[i] as number;
    const first = firstPieces[i] as number;
    const last = (endPieces[i] as number) - 1;
    const codec = codecs[i] as number;
    differences.gaps[i] = folded(begin - end);
    differences.firstPieces[i] = folded(first - nextPiece);
    differences.furtherPieces[i] = last - first;
    const lastEnd = (inner[last] as number) + (lengths[last] as number);
    differences.plain[i] = folded((plain[i] as number) - lastEnd);
    if (codec !== codecs[0]) differences.codecs[i] = codec + 1;
    end = begin + (stored[i] as number);
    nextPiece = last + 1;
  }
  return {
    ...starts,
    gaps: packNumbers(differences.gaps),
    lengths: packNumbers(stored),
    plain: packNumbers(differences.plain),
    firstPieces: packNumbers(differences.firstPieces),
    furtherPieces: packNumbers(differences.furtherPieces),
    codecs: packNumbers(differences.codecs),
  };
}

/** Where the next piece of a member is likely to be in it. */
export function afterHeader(innerEnd: number): number {
  return (Math.ceil(innerEnd / HEADER_SIZE) + 1) * HEADER_SIZE;
}

/** The digests of the pieces that have one, without gaps. */
function digestsOf({ count, digests, hasDigest }: PieceTable): Uint8Array {
  const digested = hasDigest.reduce((sum, has) => sum + has, 0);
  if (digested === count) return digests;
  const kept = new Uint8Array(new SharedArrayBuffer(digested * DIGEST_SIZE));
  for (let i = 0, at = 0; i < count; i++) {
    if (hasDigest[i] !== 1) continue;
    kept.set(digests.subarray(i * DIGEST_SIZE, (i + 1) * DIGEST_SIZE), at);
    at += DIGEST_SIZE;
  }
  return kept;
}
