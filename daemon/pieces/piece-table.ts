// The table of a source that is made of compressed pieces: what lies where in the source, and what must be decoded to
// have it. Columns in shared memory, so that all threads use the same table.

import { OverlaybdError } from '../errors.js';
import {
  MAX_DECODED_BYTES,
  MAX_HASHED_BYTES,
  MAX_MEMBER_BEGIN,
  MAX_PIECES,
  mostStored,
} from './limits.js';

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
/** Bytes that each piece counts more when the work for its member is counted. */
const PIECE_COST = 512;

/** Where a file can begin: at this byte of the source or after it. */
export function alignedPiece(position: number): number {
  return Math.ceil(position / ALIGNMENT) * ALIGNMENT;
}

/** Bytes of a source whose last piece ends there. */
export function sourceSize(end: number): number {
  return Math.ceil(end / SECTOR) * SECTOR;
}

/** Plain values and shared memory. Pieces are in the order of their positions. */
export interface PieceTable {
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
  /** Index in {@link CODECS}. */
  readonly codecs: Uint8Array;
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

interface Member {
  readonly begin: number;
  plain: number;
  readonly codec: PieceCodec;
  readonly stored: number | undefined;
  readonly firstPiece: number;
  endPiece: number;
  /** What it takes to check its pieces. */
  hashed: number;
}

/** Collects pieces in the order of the source. */
export class PieceTableBuilder {
  readonly #blob: string;
  readonly #hash: PieceHash;
  readonly #members: Member[] = [];
  readonly #byBegin = new Map<number, number>();
  readonly #positions: number[] = [];
  readonly #lengths: number[] = [];
  readonly #memberOf: number[] = [];
  readonly #inner: number[] = [];
  readonly #digests: (Uint8Array | null)[] = [];
  #size = 0;

  /** @param blob for messages */
  constructor(blob: string, hash: PieceHash = 'sha256') {
    this.#blob = blob;
    this.#hash = hash;
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
    const piece = this.#positions.length;
    let number = this.#byBegin.get(begin);
    if (number === undefined) {
      number = this.#members.length;
      this.#byBegin.set(begin, number);
      this.#members.push({
        begin,
        plain,
        codec,
        stored,
        firstPiece: piece,
        endPiece: piece,
        hashed: 0,
      });
    }
    const member = this.#members[number] as Member;
    member.plain = Math.max(member.plain, plain);
    member.endPiece = piece + 1;
    member.hashed += length + PIECE_COST;
    if (member.hashed > MAX_HASHED_BYTES) {
      const text = `its pieces in the member at byte ${begin} overlap: ${member.hashed} bytes and more, at most ${MAX_HASHED_BYTES}`;
      throw new OverlaybdError('LIMIT', text);
    }
    this.#add(length, number, inner, digest);
  }

  /**
   * The builder cannot be used again.
   * @param end where the last member ends at the latest, in the blob: past the begin of all
   */
  finish(end: number): PieceTable {
    const count = this.#positions.length;
    const table: PieceTable = {
      count,
      size: sourceSize(this.#size),
      positions: new Float64Array(shared(8 * count)),
      lengths: new Uint32Array(shared(4 * count)),
      members: new Uint32Array(shared(4 * count)),
      inner: new Uint32Array(shared(4 * count)),
      hash: this.#hash,
      digests: new Uint8Array(shared(DIGEST_SIZE * count)),
      hasDigest: new Uint8Array(shared(count)),
      ...this.#memberColumns(end),
      blocks: null,
      storedDigests: null,
    };
    table.positions.set(this.#positions);
    table.lengths.set(this.#lengths);
    table.members.set(this.#memberOf);
    table.inner.set(this.#inner);
    for (const [i, digest] of this.#digests.entries()) {
      if (!digest) continue;
      table.digests.set(digest, i * DIGEST_SIZE);
      table.hasDigest[i] = 1;
    }
    return table;
  }

  #add(length: number, member: number, inner: number, digest: Uint8Array | null): void {
    if (this.#positions.length === MAX_PIECES) {
      const text = `${this.#blob}: more than ${MAX_PIECES} pieces`;
      throw new OverlaybdError('LIMIT', text, { facts: { blob: this.#blob } });
    }
    this.#positions.push(this.#size);
    this.#lengths.push(length);
    this.#memberOf.push(member);
    this.#inner.push(inner);
    this.#digests.push(digest);
    this.#size += length;
  }

  #memberColumns(
    blobEnd: number,
  ): Pick<PieceTable, 'begins' | 'stored' | 'plain' | 'firstPieces' | 'endPieces' | 'codecs'> {
    const members = this.#members;
    const count = members.length;
    const columns = {
      begins: new Float64Array(shared(8 * count)),
      stored: new Uint32Array(shared(4 * count)),
      plain: new Uint32Array(shared(4 * count)),
      firstPieces: new Uint32Array(shared(4 * count)),
      endPieces: new Uint32Array(shared(4 * count)),
      codecs: new Uint8Array(shared(count)),
    };
    const sorted = members.map(({ begin }) => begin).toSorted((a, b) => a - b);
    const next = new Map(sorted.map((begin, i) => [begin, sorted[i + 1] ?? blobEnd]));
    for (const [i, { begin, plain, codec, stored, firstPiece, endPiece }] of members.entries()) {
      const room = (next.get(begin) as number) - begin;
      columns.begins[i] = begin;
      columns.stored[i] = stored ?? Math.min(room, mostStored(plain));
      columns.plain[i] = plain;
      columns.firstPieces[i] = firstPiece;
      columns.endPieces[i] = endPiece;
      columns.codecs[i] = CODECS.indexOf(codec);
    }
    return columns;
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

function shared(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(bytes);
}
