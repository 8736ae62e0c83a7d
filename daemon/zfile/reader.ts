// Reads a ZFile's plain bytes: which blocks, one read for a run of them, checks, decode. A blob
// source like any other, so that LSMT does not know whether it is compressed.

import type { Algorithm } from '../codec/algorithm.js';
import { DECODE_HEADROOM, type Batch, type BatchDecoder } from '../codec/decoder.js';
import { formatError } from '../errors.js';
import type { BlobSource } from '../blob/source.js';
import { describeBadBlock } from './bad-block.js';
import { BlockCache } from './block-cache.js';
import { BLOCK_CRC_SEED, BLOCK_CRC_SIZE, MAX_BLOCK_SIZE, MAX_STORED_OVERHEAD } from './format.js';
import { JumpTable, type JumpTableData } from './jump-table.js';

/** What a reactor needs, besides the compressed source, to make the same reader again. */
export interface ZfileSpec {
  readonly name: string;
  readonly algorithm: Algorithm;
  readonly blockSize: number;
  readonly originalSize: number;
  readonly verify: boolean;
  readonly table: JumpTableData;
}

/** Blocks are read and decoded in runs of at most so many. */
const RUN_BLOCKS = 256;
/** And at most so many stored bytes, unless one block alone is longer. */
const RUN_BYTES = 256 * 1024;
const RUN_CAPACITY = Math.max(RUN_BYTES, MAX_BLOCK_SIZE + MAX_STORED_OVERHEAD + BLOCK_CRC_SIZE);

/** Scratch memory of one thread, shared by all its readers: reads never overlap in time. */
export class ZfileScratch {
  readonly batch: Batch = {
    src: Buffer.allocUnsafeSlow(DECODE_HEADROOM + RUN_CAPACITY),
    base: DECODE_HEADROOM,
    bounds: new Uint32Array(RUN_BLOCKS + 1),
    crcSize: 0,
    crcSeed: BLOCK_CRC_SEED,
  };

  readonly #caches = new Map<number, BlockCache>();
  #readers = 0;

  /** The decoded blocks that readers of files with this block size keep. */
  cacheOf(blockSize: number): BlockCache {
    let cache = this.#caches.get(blockSize);
    if (!cache) {
      cache = new BlockCache(blockSize);
      this.#caches.set(blockSize, cache);
    }
    return cache;
  }

  /** A number that no other reader has. */
  newOwner(): number {
    return ++this.#readers;
  }
}

export class ZfileReader implements BlobSource {
  readonly name: string;
  readonly size: number;
  readonly isLocal: boolean;
  readonly #source: BlobSource;
  readonly #table: JumpTable;
  readonly #blockSize: number;
  readonly #blockShift: number;
  readonly #lastBlock: number;
  readonly #lastBlockSize: number;
  readonly #crcSize: number;
  readonly #decoder: BatchDecoder;
  readonly #scratch: ZfileScratch;
  readonly #cache: BlockCache;
  /** Its name in the cache. */
  readonly #owner: number;

  constructor(spec: ZfileSpec, source: BlobSource, decoder: BatchDecoder, scratch: ZfileScratch) {
    this.name = spec.name;
    this.size = spec.originalSize;
    this.isLocal = source.isLocal;
    this.#source = source;
    this.#table = new JumpTable(spec.table);
    this.#blockSize = spec.blockSize;
    this.#blockShift = Math.log2(spec.blockSize);
    this.#lastBlock = spec.table.count - 1;
    this.#lastBlockSize = spec.originalSize - this.#lastBlock * spec.blockSize;
    this.#crcSize = spec.verify ? BLOCK_CRC_SIZE : 0;
    this.#decoder = decoder;
    this.#scratch = scratch;
    this.#cache = scratch.cacheOf(spec.blockSize);
    this.#owner = scratch.newOwner();
  }

  ensure(offset: number, length: number): Promise<void> | null {
    if (length === 0) return null;
    const begin = this.#table.offsetOf(this.#blockOf(offset));
    const end = this.#table.offsetOf(this.#blockOf(offset + length - 1) + 1);
    return this.#source.ensure(begin, end - begin);
  }

  load(offset: number, length: number): Promise<void> {
    if (length === 0) return Promise.resolve();
    const begin = this.#table.offsetOf(this.#blockOf(offset));
    const end = this.#table.offsetOf(this.#blockOf(offset + length - 1) + 1);
    return this.#source.load(begin, end - begin);
  }

  prefetch(offset: number, length: number): Promise<void> {
    if (length === 0) return Promise.resolve();
    const begin = this.#table.offsetOf(this.#blockOf(offset));
    const end = this.#table.offsetOf(this.#blockOf(offset + length - 1) + 1);
    return this.#source.prefetch(begin, end - begin);
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    if (offset + length > this.size) {
      throw formatError({
        blob: this.name,
        section: 'read',
        offset,
        expected: `a range that ends by ${this.size}, the size of the decompressed file`,
        got: offset + length,
        code: 'BAD_DATA',
      });
    }
    const end = offset + length;
    let here = offset;
    let out = at;
    while (here < end) {
      const done = this.#copyKept(dst, out, here, end) || this.#readRun(dst, out, here, end);
      if (done === 0) return false;
      here += done;
      out += done;
    }
    return true;
  }

  #blockOf(offset: number): number {
    // Shifts are for 32 bits; beyond 4 GiB a division is as exact.
    return offset < 0x1_0000_0000
      ? offset >>> this.#blockShift
      : Math.floor(offset / this.#blockSize);
  }

  #sizeOf(block: number): number {
    return block === this.#lastBlock ? this.#lastBlockSize : this.#blockSize;
  }

  /** @returns how many bytes from `at` on a kept block gave; 0 when it is not kept */
  #copyKept(dst: Uint8Array, dstOffset: number, at: number, end: number): number {
    const block = this.#blockOf(at);
    const kept = this.#cache.find(this.#owner, block);
    if (kept < 0) return 0;
    const within = at - block * this.#blockSize;
    const n = Math.min(this.#sizeOf(block) - within, end - at);
    dst.set(this.#cache.bytes.subarray(kept + within, kept + within + n), dstOffset);
    return n;
  }

  /**
   * Reads the blocks of [at, end), as many as one run takes, with one read of the source. Blocks
   * that are wanted whole are decoded to their place, the others by way of the cache.
   * @returns the plain bytes put into `dst`; 0 when the disk must be waited for
   */
  #readRun(dst: Uint8Array, dstOffset: number, at: number, end: number): number {
    const first = this.#blockOf(at);
    const count = this.#planRun(first, end);
    const begin = this.#table.offsetOf(first);
    const stored = this.#scratch.batch.bounds[count] as number;
    const { src, base } = this.#scratch.batch;
    if (!this.#source.read(begin, stored, src, base)) return 0;

    const last = first + count - 1;
    const lastEnd = last * this.#blockSize + this.#sizeOf(last);
    const runEnd = Math.min(end, lastEnd);
    const wholeFrom = at > first * this.#blockSize ? 1 : 0;
    const wholeTo = runEnd < lastEnd ? count - 1 : count;
    let out = dstOffset;
    if (wholeFrom > wholeTo) {
      // One block, of which neither the beginning nor the end is wanted.
      return this.#decodePart(first, 0, dst, out, at, runEnd);
    }
    if (count === 2 && wholeFrom === wholeTo) {
      const n = this.#decodePair(first, dst, out, at, runEnd);
      if (n > 0) return n;
    }
    if (wholeFrom === 1) out += this.#decodePart(first, 0, dst, out, at, lastEnd);
    if (wholeTo > wholeFrom) {
      const lastSize = this.#sizeOf(first + wholeTo - 1);
      this.#decode(first, wholeFrom, wholeTo - wholeFrom, dst, out, lastSize);
      out += (wholeTo - wholeFrom - 1) * this.#blockSize + lastSize;
    }
    if (wholeTo < count) out += this.#decodePart(last, wholeTo, dst, out, 0, runEnd);
    return out - dstOffset;
  }

  /** Fills the bounds of a run of blocks from `first` on that begin before `end`. @returns how many */
  #planRun(first: number, end: number): number {
    const { bounds } = this.#scratch.batch;
    const begin = this.#table.offsetOf(first);
    let count = 0;
    bounds[0] = 0;
    while (count < RUN_BLOCKS && (first + count) * this.#blockSize < end) {
      const next = this.#table.offsetOf(first + count + 1) - begin;
      if (next > RUN_BYTES && count > 0) break;
      bounds[++count] = next;
    }
    return count;
  }

  /** Decodes one block of the run into the cache and copies what of [at, end) is in it. */
  #decodePart(
    block: number,
    index: number,
    dst: Uint8Array,
    dstOffset: number,
    at: number,
    end: number,
  ): number {
    const cache = this.#cache;
    const size = this.#sizeOf(block);
    const kept = cache.place(this.#owner, block);
    this.#decode(block - index, index, 1, cache.bytes, kept, size);
    cache.keep(this.#owner, block);
    const begin = block * this.#blockSize;
    const from = Math.max(at - begin, 0);
    const to = Math.min(end - begin, size);
    dst.set(cache.bytes.subarray(kept + from, kept + to), dstOffset);
    return to - from;
  }

  /**
   * Decodes the two blocks of a run into the cache at once, as {@link ZfileReader.#decodePart} does
   * one after the other: most reads of a misaligned image want a part of each.
   * @returns 0 when their places in the cache are apart
   */
  #decodePair(first: number, dst: Uint8Array, dstOffset: number, at: number, end: number): number {
    const cache = this.#cache;
    const kept = cache.place(this.#owner, first);
    if (cache.place(this.#owner, first + 1) !== kept + this.#blockSize) return 0;
    this.#decode(first, 0, 2, cache.bytes, kept, this.#sizeOf(first + 1));
    cache.keep(this.#owner, first);
    cache.keep(this.#owner, first + 1);
    const begin = first * this.#blockSize - kept;
    dst.set(cache.bytes.subarray(at - begin, end - begin), dstOffset);
    return end - at;
  }

  /**
   * Checks and decodes blocks [index, index + count) of the run that begins with block `first`.
   * @throws OverlaybdError BAD_CHECKSUM or BAD_DATA
   */
  #decode(
    first: number,
    index: number,
    count: number,
    dst: Uint8Array,
    dstOffset: number,
    lastSize: number,
  ): void {
    const { batch } = this.#scratch;
    const blockSize = this.#blockSize;
    batch.crcSize = this.#crcSize;
    const bad = this.#decoder.decode(batch, index, count, dst, dstOffset, blockSize, lastSize);
    if (bad < 0) return;
    const block = first + bad;
    throw formatError({
      blob: this.name,
      section: `block ${block}`,
      offset: this.#table.offsetOf(block),
      ...describeBadBlock(batch, bad, this.#sizeOf(block)),
    });
  }
}
