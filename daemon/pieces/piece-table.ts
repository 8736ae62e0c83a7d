// The table of a source that is made of compressed pieces: what lies where in the source, and what must be decoded to
// have it. Columns in shared memory, so that all threads use the same table.

import { OverlaybdError } from '../errors.js';
import { CountedColumns } from '../lib/counted-columns.js';
import { UNBOUNDED, type Effort } from '../lib/effort.js';
import { MAX_DECODED_BYTES, MAX_MEMBER_BEGIN, MAX_PIECES } from './limits.js';
import { MemberColumns, type MemberTable } from './member-columns.js';

/** How a member is stored; `deflate`: from a block in the middle of a stream on; `stored`: as it is. */
export const CODECS = ['gzip', 'zstd', 'deflate', 'stored', 'lz4'] as const;
export type PieceCodec = (typeof CODECS)[number];

/** What the digests of pieces are made with; both have DIGEST_SIZE bytes. */
export type PieceHash = 'sha256' | 'blake3';

/** In the column of members: the piece is zeros. */
export const NO_MEMBER = 0xffff_ffff;
/** Bytes of a digest. */
export const DIGEST_SIZE = 32;
/**
 * Files begin at multiples of this, as they do in the device: then what follows each other in the source does so in the
 * device, and takes one row of its index.
 */
const ALIGNMENT = 4096;
/** A source has a multiple of as many bytes. */
const SECTOR = 512;
/** Where a file can begin: at this byte of the source or after it. */
export function alignedPiece(position: number): number {
  return Math.ceil(position / ALIGNMENT) * ALIGNMENT;
}

/** Bytes of a source whose last piece ends there. */
export function sourceSize(end: number): number {
  return Math.ceil(end / SECTOR) * SECTOR;
}

/** Plain values and shared memory. Pieces are in the order of their positions. */
export interface PieceTable extends MemberTable {
  /** Pieces. */
  readonly count: number;
  /** Bytes of the source. */
  readonly size: number;
  /** Byte offset of each piece in the source. What lies between two pieces is zeros. */
  readonly positions: Float64Array;
  readonly lengths: Uint32Array;
  /** The member that has the piece, or NO_MEMBER. */
  readonly members: Uint32Array;
  /** Byte offset of the piece in the decoded member. */
  readonly inner: Uint32Array;
  readonly hash: PieceHash;
  /** The digest of each piece, DIGEST_SIZE bytes each. */
  readonly digests: Uint8Array;
  /** 1 for each piece that has a digest. */
  readonly hasDigest: Uint8Array;
  /** Null if no member has the codec `deflate`. */
  readonly blocks: BlockStarts | null;
  /**
   * SHA-256 of the stored bytes of each member, DIGEST_SIZE bytes each: checked before they are decoded. Null if there
   * are none.
   */
  readonly storedDigests: Uint8Array | null;
}

/** Where members of the codec `deflate` begin in their streams: an item for each member. See BlockStart. */
export interface BlockStarts {
  readonly bits: Uint8Array;
  /** Where each window is in `windows`; one more than there are members. */
  readonly windowBegins: Float64Array;
  /** Deflated. */
  readonly windows: Uint8Array;
  /** Stored bytes in front of the block of the first member, which belong to a header. */
  readonly skipped: number;
}

/** A piece that is stored. */
export interface StoredPiece {
  readonly codec: PieceCodec;
  /** Byte offset in the blob where its member begins. */
  readonly begin: number;
  /** Byte offset in the decoded member. */
  readonly inner: number;
  /** Plain bytes, at least one. */
  readonly length: number;
  /** Of the plain bytes. */
  readonly digest: Uint8Array | null;
  /** Stored bytes of its member, if they are known; or else they are those up to the next member. */
  readonly stored?: number;
  /** Plain bytes of its member, if all of them must be decoded; or else those up to the end of its last piece are. */
  readonly memberPlain?: number;
}

/** Collects pieces in the order of the source. In columns: a blob may have millions. */
export class PieceTableBuilder {
  readonly #blob: string;
  readonly #hash: PieceHash;
  readonly #members: MemberColumns;
  readonly #columns: CountedColumns;
  #count = 0;
  #positions = new Float64Array(64);
  #lengths = new Uint32Array(64);
  #memberOf = new Uint32Array(64);
  #inner = new Uint32Array(64);
  /** None before the first digest: a table may have millions of pieces without one. */
  #digests = new Uint8Array();
  #hasDigest = new Uint8Array(64);
  #size = 0;

  /** @param blob for messages. @param effort counts the memory of the columns, and then that of the table */
  constructor(blob: string, effort: Effort = UNBOUNDED, hash: PieceHash = 'sha256') {
    this.#blob = blob;
    this.#hash = hash;
    this.#columns = new CountedColumns(blob, effort);
    this.#members = new MemberColumns(blob, this.#columns, effort.heap);
  }

  /** Bytes of the source so far: where the next piece lies. */
  get size(): number {
    return this.#size;
  }

  /** Begins a file. @returns where it begins in the source */
  align(): number {
    this.#size = alignedPiece(this.#size);
    return this.#size;
  }

  /** The next piece lies there, after zeros. @param position not below `size` */
  moveTo(position: number): void {
    this.#size = position;
  }

  /** @param length plain bytes, at least one */
  addZeros(length: number): void {
    this.#add(length, NO_MEMBER, 0, null);
  }

  /** @throws OverlaybdError LIMIT, BAD_FORMAT; the caller names the entry */
  addStored({ codec, begin, inner, length, digest, stored, memberPlain = 0 }: StoredPiece): void {
    const plain = Math.max(inner + length, memberPlain);
    if (plain > MAX_DECODED_BYTES) {
      const text = `${plain} bytes are to be decoded for one piece, at most ${MAX_DECODED_BYTES}`;
      throw new OverlaybdError('LIMIT', text);
    }
    if (begin > MAX_MEMBER_BEGIN) {
      const text = `its member is at byte ${begin} of the blob, at most ${MAX_MEMBER_BEGIN}`;
      throw new OverlaybdError('LIMIT', text);
    }
    const member = { codec: CODECS.indexOf(codec), begin, plain, stored };
    const number = this.#members.add(member, this.#count, length);
    this.#add(length, number, inner, digest);
  }

  /**
   * The builder cannot be used again. The memory of the table is announced.
   * @param end where the last member ends at the latest, in the blob: after the start of every member
   */
  finish(end: number): PieceTable {
    const count = this.#count;
    const columns = this.#columns;
    const positions = columns.sharedCopy(this.#positions, count);
    // Columns of millions of pieces must not be there twice, all at once.
    this.#positions = new Float64Array();
    const lengths = columns.sharedCopy(this.#lengths, count);
    const members = columns.sharedCopy(this.#memberOf, count);
    const inner = columns.sharedCopy(this.#inner, count);
    this.#lengths = this.#memberOf = this.#inner = new Uint32Array();
    const digests = columns.sharedCopy(this.#digests, count * DIGEST_SIZE);
    this.#digests = new Uint8Array();
    const table: PieceTable = {
      count,
      size: sourceSize(this.#size),
      positions,
      lengths,
      members,
      inner,
      hash: this.#hash,
      digests,
      hasDigest: columns.sharedCopy(this.#hasDigest, count),
      ...this.#members.finish(end),
      blocks: null,
      storedDigests: null,
    };
    columns.finish(tableBytes(table));
    return table;
  }

  #add(length: number, member: number, inner: number, digest: Uint8Array | null): void {
    const i = this.#count;
    if (i === MAX_PIECES) {
      const text = `${this.#blob}: more than ${MAX_PIECES} pieces`;
      throw new OverlaybdError('LIMIT', text, { facts: { blob: this.#blob } });
    }
    if (i >= this.#positions.length) this.#grow(i);
    this.#positions[i] = this.#size;
    this.#lengths[i] = length;
    this.#memberOf[i] = member;
    this.#inner[i] = inner;
    if (digest) {
      this.#digests = this.#columns.grown(this.#digests, (i + 1) * DIGEST_SIZE - 1);
      this.#digests.set(digest, i * DIGEST_SIZE);
      this.#hasDigest[i] = 1;
    }
    this.#count = i + 1;
    this.#size += length;
  }

  #grow(i: number): void {
    const columns = this.#columns;
    this.#positions = columns.grown(this.#positions, i);
    this.#lengths = columns.grown(this.#lengths, i);
    this.#memberOf = columns.grown(this.#memberOf, i);
    this.#inner = columns.grown(this.#inner, i);
    this.#hasDigest = columns.grown(this.#hasDigest, i);
  }
}

/** Bytes of memory that a table takes. */
export function tableBytes({ count, begins, blocks, storedDigests }: PieceTable): number {
  const columns = count * (8 + 3 * 4 + DIGEST_SIZE + 1) + begins.length * (8 + 4 * 4 + 1);
  return columns + windowBytes(blocks) + (storedDigests?.length ?? 0);
}

/** Bytes of memory that the begins of blocks take. */
export function windowBytes(blocks: BlockStarts | null): number {
  return blocks ? blocks.windows.length + blocks.bits.length * 9 : 0;
}
