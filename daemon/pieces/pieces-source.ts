// A blob whose pieces are compressed one by one, as a source of their plain bytes. A piece is decoded (on a thread of
// Node's pool, if it is long) and checked against its digest before a byte of it is read; what was decoded stays for the
// next reads.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { shortRead } from '../blob/file-jobs.js';
import { readFully, type BlobSource } from '../blob/source.js';
import type { BatchDecoder } from '../codec/batch.js';
import { OverlaybdError, formatError, messageOf } from '../errors.js';
import { hexOf } from '../lib/bytes.js';
import { monotonicMs } from '../lib/clock.js';
import type { DecodedCache, DecodedMember } from './decoded-cache.js';
import { inflateBegin } from './gzip-member.js';
import { MAX_BAD_PIECES, MAX_DECODED_HERE, MAX_KEPT_BYTES, MAX_MEMBERS_A_CALL } from './limits.js';
import { decodeLz4, decodeLz4Elsewhere } from './lz4-block.js';
import { digestOf } from './digest.js';
import { inflateMiddle, type BlockStart } from './inflate-middle.js';
import { MemberStore, type Decoded } from './member-store.js';
import { inflateWindow } from './windows.js';
import type { SharedPlaces } from './shared-members.js';
import { lookupOf, type PieceLookup } from './piece-lookup.js';
import type { PackedTable } from './packed-table.js';
import { DIGEST_SIZE, NO_MEMBER, type PieceHash, type PieceTable } from './piece-table.js';
import { decodeFrames, decodeFramesElsewhere, type ZstdDecoders } from './zstd-frames.js';

/** Pieces whose digests are checked before the thread does something else. */
const PIECES_A_TURN = 64;
/** Times that a member is fetched again because it is damaged. */
const MAX_REFETCHES = 2;

/** Bytes of a blob, the end not included. */
export interface StoredRange {
  readonly begin: number;
  readonly end: number;
}

export interface PiecesSpec<T extends PieceTable | PackedTable = PieceTable | PackedTable> {
  readonly kind: 'pieces';
  /** For messages. */
  readonly name: string;
  readonly table: T;
  /** For metrics: "estargz". */
  readonly format?: string;
  /** Ranges of the blob that the image asks to fetch before they are read, in this order. */
  readonly prefetch?: readonly StoredRange[];
  /** Where decoded members are that all threads share; if absent, each thread has its own. */
  readonly shared?: SharedPlaces;
}

/** What all sources of a thread share. */
export interface PieceTools {
  readonly cache: DecodedCache;
  /** Called if a piece is a zstd frame. */
  readonly zstd: () => ZstdDecoders;
  /** Called if a piece is an LZ4 block. */
  readonly lz4: () => BatchDecoder;
}

export class PiecesSource implements BlobSource {
  readonly name: string;
  readonly size: number;
  readonly isLocal: boolean;
  readonly #source: BlobSource;
  readonly #table: PieceTable | PackedTable;
  readonly #pieces: PieceLookup;
  readonly #tools: PieceTools;
  readonly #format: string;
  readonly #members: MemberStore;

  constructor(
    { name, table, format = 'other', shared: of }: PiecesSpec,
    source: BlobSource,
    tools: PieceTools,
  ) {
    this.name = name;
    this.size = table.size;
    this.isLocal = source.isLocal;
    this.#source = source;
    this.#table = table;
    this.#pieces = lookupOf(table);
    this.#tools = tools;
    this.#format = format;
    this.#members = new MemberStore(tools.cache, of ?? null, (member) => this.#decode(member));
  }

  ensure(offset: number, length: number): Promise<void> | null {
    this.#check(offset, length);
    if (this.isLocal) return null;
    const waits: Promise<void>[] = [];
    this.#forEachRun(offset, length, (begin, n) => {
      const wait = this.#source.ensure(begin, n);
      if (wait) waits.push(wait);
      return waits.length < MAX_MEMBERS_A_CALL;
    });
    return waits.length === 0 ? null : Promise.all(waits).then(() => undefined);
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    this.#check(offset, length);
    const pieces = this.#pieces;
    const { count } = pieces;
    const end = offset + length;
    let here = offset;
    for (let piece = pieces.find(offset); here < end; piece++) {
      const begin = piece < count ? pieces.position(piece) : end;
      if (here < begin) {
        const until = Math.min(begin, end);
        dst.fill(0, at + (here - offset), at + (until - offset));
        here = until;
        if (here === end) break;
      }
      const until = Math.min(begin + pieces.length(piece), end);
      const member = pieces.member(piece);
      const to = at + (here - offset);
      if (member === NO_MEMBER) {
        dst.fill(0, to, to + (until - here));
      } else {
        const from = pieces.inner(piece) + (here - begin);
        const own = this.#members.own(member);
        if (own) {
          if (own.bad.size > 0) this.#checkPiece(piece, own);
          dst.set(own.bytes.subarray(from, from + (until - here)), to);
        } else if (!this.#members.readShared(member, from, until - here, dst, to)) {
          return false;
        }
      }
      here = until;
    }
    return true;
  }

  /** Decodes the members of the range that are not decoded, as many as can be kept. */
  async load(offset: number, length: number): Promise<void> {
    this.#check(offset, length);
    const waits: Promise<unknown>[] = [];
    let bytes = 0;
    this.#forEachMissing(offset, length, (member) => {
      bytes += this.#pieces.plain(member);
      if (waits.length > 0 && bytes > MAX_KEPT_BYTES) return false;
      waits.push(this.#members.obtain(member));
      return waits.length < MAX_MEMBERS_A_CALL;
    });
    for (const outcome of await Promise.allSettled(waits)) {
      if (outcome.status === 'rejected') throw outcome.reason;
    }
  }

  async prefetch(offset: number, length: number): Promise<void> {
    const asked: Promise<void>[] = [];
    const n = Math.min(length, this.size - offset);
    if (n <= 0) return;
    this.#forEachRun(offset, n, (begin, stored) => {
      asked.push(this.#source.prefetch(begin, stored));
      return asked.length < MAX_MEMBERS_A_CALL;
    });
    await Promise.all(asked);
  }

  /** @param visit returns false if that is enough */
  #forEachMissing(offset: number, length: number, visit: (member: number) => boolean): void {
    const pieces = this.#pieces;
    const end = offset + length;
    let last = NO_MEMBER;
    for (let piece = pieces.find(offset); piece < pieces.count; piece++) {
      if (pieces.position(piece) >= end) return;
      const member = pieces.member(piece);
      if (member === NO_MEMBER || member === last || this.#members.has(member)) continue;
      last = member;
      if (!visit(member)) return;
    }
  }

  /** Visits the stored ranges of members that are not decoded, and joins adjacent ones. See #forEachMissing. */
  #forEachRun(offset: number, length: number, visit: (begin: number, n: number) => boolean): void {
    const pieces = this.#pieces;
    let begin = 0;
    let end = 0;
    let isEnough = false;
    this.#forEachMissing(offset, length, (member) => {
      const from = pieces.begin(member);
      const until = from + pieces.stored(member);
      if (end > 0 && from === end) {
        end = until;
        return true;
      }
      if (end > begin) isEnough = !visit(begin, end - begin);
      begin = from;
      end = until;
      return !isEnough;
    });
    if (end > begin && !isEnough) visit(begin, end - begin);
  }

  async #decode(member: number): Promise<Decoded> {
    const begin = this.#pieces.begin(member);
    const length = this.#pieces.stored(member);
    const { counts, gate } = this.#tools.cache;
    for (let refetches = 0; ; refetches++) {
      const bytes = await readFully(this.#source, begin, length);
      const mayComeAnew = (): boolean =>
        refetches < MAX_REFETCHES && (this.#source.distrust?.(begin, length) ?? false);
      try {
        const { plain, bad, seconds } = await gate.run(() => this.#decodeStored(member, bytes));
        if (bad.size > 0 && mayComeAnew()) continue;
        const [first] = bad;
        // It was inflated with a window that may be wrong, too: none of it can be trusted.
        if (first && this.#pieces.codec(member) === 'deflate') {
          throw this.#badPiece(...first);
        }
        if (bad.size > 0) counts.digestFailed(this.#format);
        counts.decoded(this.#pieces.codec(member), seconds);
        return { plain, bad };
      } catch (error) {
        // A cache may have bytes that the origin does not have.
        if (error instanceof OverlaybdError && mayComeAnew()) continue;
        const isDigest = error instanceof OverlaybdError && error.code === 'BAD_CHECKSUM';
        if (isDigest) counts.digestFailed(this.#format);
        throw error;
      }
    }
  }

  /** Waits for nothing but the processor. @throws OverlaybdError BAD_CHECKSUM or BAD_DATA */
  async #decodeStored(member: number, stored: Buffer): Promise<Decoded & { seconds: number }> {
    const since = monotonicMs();
    await this.#checkStored(member, stored);
    const plain = await this.#plainOf(member, stored);
    const bad = await this.#badPieces(member, plain);
    return { plain, bad, seconds: (monotonicMs() - since) / 1000 };
  }

  /** @throws OverlaybdError BAD_CHECKSUM */
  async #checkStored(member: number, stored: Buffer): Promise<void> {
    const { storedDigests } = this.#table;
    if (!storedDigests) return;
    const wanted = storedDigests.subarray(member * DIGEST_SIZE, (member + 1) * DIGEST_SIZE);
    const got = await digestOf('sha256', stored);
    if (Buffer.compare(got, wanted) === 0) return;
    throw this.#badDigest(this.#pieces.firstPiece(member), 'sha256', wanted, got);
  }

  /** @throws OverlaybdError BAD_DATA */
  async #plainOf(member: number, stored: Buffer): Promise<Uint8Array> {
    const wanted = this.#pieces.plain(member);
    const decoded = (bytes: Uint8Array | null, what: string): Uint8Array => {
      if (bytes) return bytes;
      throw this.#badMember(member, `${what} of ${wanted} bytes`, 'something else');
    };
    switch (this.#pieces.codec(member)) {
      case 'stored':
        return decoded(stored.length < wanted ? null : stored.subarray(0, wanted), 'plain bytes');
      case 'lz4':
        return decoded(await this.#lz4Of(stored, wanted), 'an LZ4 block');
      case 'zstd':
        return decoded(await this.#zstdOf(stored, wanted), 'zstd frames');
      case 'gzip':
      case 'deflate':
        return this.#inflated(member, stored, wanted);
    }
  }

  #lz4Of(stored: Buffer, wanted: number): Uint8Array | null | Promise<Uint8Array | null> {
    if (wanted > MAX_DECODED_HERE) return decodeLz4Elsewhere(stored, wanted);
    return decodeLz4(stored, wanted, this.#tools.lz4());
  }

  #zstdOf(stored: Buffer, wanted: number): Uint8Array | null | Promise<Uint8Array | null> {
    if (wanted > MAX_DECODED_HERE) return decodeFramesElsewhere(stored, wanted);
    return decodeFrames(stored, wanted, this.#tools.zstd());
  }

  /** @throws OverlaybdError BAD_DATA */
  async #inflated(member: number, stored: Buffer, wanted: number): Promise<Uint8Array> {
    const pieces = this.#pieces;
    try {
      const start = this.#blockStartOf(member);
      const bytes = await (start
        ? inflateMiddle(this.#withoutHeader(member, stored), start, wanted)
        : inflateBegin(stored, wanted, pieces.digest(pieces.firstPiece(member)) !== null));
      if (bytes.length === wanted) return bytes;
      throw this.#badMember(member, `a gzip member of at least ${wanted} bytes`, bytes.length);
    } catch (error) {
      if (error instanceof OverlaybdError) throw error;
      throw this.#badMember(member, 'a gzip member', messageOf(error));
    }
  }

  #withoutHeader(member: number, stored: Buffer): Buffer {
    return member === 0 ? stored.subarray(this.#table.blocks?.skipped) : stored;
  }

  /**
   * Checks all pieces of a decoded member.
   * @returns those that break their digest, with the digest that they have
   * @throws OverlaybdError BAD_CHECKSUM if there are too many
   */
  async #badPieces(member: number, plain: Uint8Array): Promise<Map<number, Uint8Array>> {
    const pieces = this.#pieces;
    const { hash } = this.#table;
    const bad = new Map<number, Uint8Array>();
    const first = pieces.firstPiece(member);
    const end = pieces.endPiece(member);
    for (let piece = first; piece < end; piece++) {
      if ((piece - first) % PIECES_A_TURN === PIECES_A_TURN - 1) await nextTurn();
      const wanted = pieces.digest(piece);
      if (pieces.member(piece) !== member || wanted === null) continue;
      const from = pieces.inner(piece);
      const got = await digestOf(hash, plain.subarray(from, from + pieces.length(piece)));
      if (Buffer.compare(got, wanted) === 0) continue;
      if (bad.size === MAX_BAD_PIECES) throw this.#badPiece(piece, got);
      bad.set(piece, got);
    }
    return bad;
  }

  /** @throws OverlaybdError BAD_CHECKSUM; the next reader decodes the piece again */
  #checkPiece(piece: number, decoded: DecodedMember): void {
    const got = decoded.bad.get(piece);
    if (!got) return;
    this.#members.drop(decoded);
    throw this.#badPiece(piece, got);
  }

  #badPiece(piece: number, got: Uint8Array): OverlaybdError {
    const wanted = this.#pieces.digest(piece) ?? new Uint8Array();
    return this.#badDigest(piece, this.#table.hash, wanted, got);
  }

  #badDigest(piece: number, hash: PieceHash, wanted: Uint8Array, got: Uint8Array): OverlaybdError {
    return formatError({
      blob: this.name,
      section: `piece ${piece}`,
      offset: this.#pieces.begin(this.#pieces.member(piece)),
      expected: `the digest ${hash}:${hexOf(wanted)}`,
      got: `${hash}:${hexOf(got)}`,
      code: 'BAD_CHECKSUM',
    });
  }

  #badMember(member: number, expected: string, got: string | number): OverlaybdError {
    return formatError({
      blob: this.name,
      section: `piece ${this.#pieces.firstPiece(member)}`,
      offset: this.#pieces.begin(member),
      expected,
      got,
      code: 'BAD_DATA',
    });
  }

  /** @returns null if the member does not begin with a block in the middle of a stream. @throws Error of zlib */
  #blockStartOf(member: number): BlockStart | null {
    const { blocks } = this.#table;
    if (!blocks || this.#pieces.codec(member) !== 'deflate') return null;
    const { bits, windowBegins, windows } = blocks;
    const begin = windowBegins[member] as number;
    const window = inflateWindow(windows.subarray(begin, windowBegins[member + 1]));
    return { bits: bits[member] as number, window };
  }

  #check(offset: number, length: number): void {
    if (offset + length <= this.size) return;
    throw shortRead(this.name, offset, length, this.size - offset);
  }
}
