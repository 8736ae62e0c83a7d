// Reads a ZFile's plain bytes: which blocks, one read for a run of them, checks, decode. A blob
// source like any other, so that LSMT does not know whether it is compressed.

import type { BatchDecoder } from '../codec/batch.js';
import { OverlaybdError, formatError } from '../errors.js';
import type { BlobSource } from '../blob/source.js';
import { describeBadBlock } from './bad-block.js';
import type { FileRange, ReadsTogether } from '../lib/disk.js';
import { BlockCache } from './block-cache.js';
import { blocksAhead, type AheadReader } from './blocks-ahead.js';
import { Blocks, type ZfileSpec } from './blocks.js';
import { Run } from './run.js';

/** Readers that were made in this thread, which may have more than one scratch memory. */
let readers = 0;

/** Scratch memory of one thread, shared by all its readers: reads never overlap in time. */
export class ZfileScratch {
  readonly run = new Run();
  readonly #caches = new Map<number, BlockCache>();

  /** The decoded blocks that readers of files with this block size keep. */
  cacheOf(blockSize: number): BlockCache {
    let cache = this.#caches.get(blockSize);
    if (!cache) {
      cache = new BlockCache(blockSize);
      this.#caches.set(blockSize, cache);
    }
    return cache;
  }

  /** A number from 1 on that no other reader of this thread has or had. */
  newOwner(): number {
    return ++readers;
  }
}

export class ZfileReader implements BlobSource, AheadReader {
  readonly name: string;
  readonly size: number;
  readonly isLocal: boolean;
  readonly together: ReadsTogether | undefined;
  readonly #source: BlobSource;
  readonly #blocks: Blocks;
  readonly #decoder: BatchDecoder;
  readonly #run: Run;
  readonly #cache: BlockCache;
  /** What decodes announced reads; null: nothing does. */
  readonly #codecAhead: number | null;
  /** Where an announced range is. */
  readonly #file: FileRange = { fd: -1, position: 0 };
  /** The reader's name in the cache. */
  readonly #owner: number;
  /** Whether blocks may be decoded in part: what follows the part is then covered by the block's CRC alone. */
  readonly #mayStop: boolean;
  /**
   * Whether the read began in a block that was read before: the client reads on, and will want the rest of the last
   * block too.
   */
  #isReadOn = false;

  /** @param source the stored bytes: the table of the spec points into them */
  constructor(spec: ZfileSpec, source: BlobSource, decoder: BatchDecoder, scratch: ZfileScratch) {
    this.name = spec.name;
    this.size = spec.originalSize;
    this.isLocal = source.isLocal;
    this.#source = source;
    this.#blocks = new Blocks(spec);
    this.#decoder = decoder;
    this.#run = scratch.run;
    this.#cache = scratch.cacheOf(spec.blockSize);
    this.#owner = scratch.newOwner();
    this.#mayStop = decoder.canDecodeBegin && spec.verify;
    this.#codecAhead = decoder.codecAhead;
    if (this.#codecAhead !== null) this.together = blocksAhead;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    if (length === 0) return null;
    const begin = this.#storedBegin(offset);
    return this.#source.ensure(begin, this.#storedEnd(offset + length) - begin);
  }

  load(offset: number, length: number): Promise<void> {
    if (length === 0) return Promise.resolve();
    const begin = this.#storedBegin(offset);
    return this.#source.load(begin, this.#storedEnd(offset + length) - begin);
  }

  prefetch(offset: number, length: number): Promise<void> {
    if (length === 0) return Promise.resolve();
    const begin = this.#storedBegin(offset);
    return this.#source.prefetch(begin, this.#storedEnd(offset + length) - begin);
  }

  announce(offset: number, length: number): void {
    if (this.#codecAhead === null || length === 0 || offset + length > this.size) return;
    const first = this.#blocks.blockOf(offset);
    const last = this.#blocks.blockOf(offset + length - 1);
    blocksAhead.announce(this, this.#owner, first, last, offset, length);
  }

  /** Finds the stored blocks of a short range in a file, or reads them, for two cores to decode them. */
  addAhead(offset: number, length: number): void {
    const codec = this.#codecAhead;
    if (codec === null) return;
    const blocks = this.#blocks;
    const first = blocks.blockOf(offset);
    const end = blocks.blockOf(offset + length - 1) + 1;
    // A client that reads on finds the head of the range in the cache.
    if (this.#cache.has(this.#owner, first)) return;
    const run = this.#run;
    run.plan(blocks, first, end);
    const { begin, stored, count, batch } = run;
    if (count < end - first || !blocksAhead.hasRoom(stored, count, blocks.blockSize)) return;
    if (!this.#find(begin, stored)) return;
    const size = blocks.sizeOf(end - 1);
    const wanted = this.#mayStop ? offset + length - blocks.beginOf(end - 1) : size;
    blocksAhead.add(codec, this.#owner, first, count, batch, size, wanted, this.#file);
  }

  /** Finds the stored bytes of an announced range in a file, or reads them. @returns false if they are not at hand */
  #find(begin: number, stored: number): boolean {
    const file = this.#file;
    // A cache has to know what is read.
    if (this.isLocal && this.#source.locate?.(begin, stored, file)) return true;
    file.fd = -1;
    file.position = 0;
    try {
      return this.#source.read(begin, stored, blocksAhead.stored, blocksAhead.storedAt);
    } catch {
      // The read itself will say it.
      return false;
    }
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
    try {
      return this.#readAll(offset, length, dst, at);
    } catch (error) {
      // A cache may have bytes that the origin does not have.
      if (this.#mayComeAnew(offset, length, error)) return false;
      throw error;
    }
  }

  #mayComeAnew(offset: number, length: number, error: unknown): boolean {
    if (!this.#source.distrust || !(error instanceof OverlaybdError)) return false;
    if (error.code !== 'BAD_CHECKSUM' && error.code !== 'BAD_DATA') return false;
    const begin = this.#storedBegin(offset);
    return this.#source.distrust(begin, this.#storedEnd(offset + length) - begin);
  }

  #readAll(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    const end = offset + length;
    if (this.#codecAhead !== null && this.#takeAhead(offset, end, dst, at)) return true;
    let here = offset;
    let out = at;
    this.#isReadOn = length > 0 && this.#cache.has(this.#owner, this.#blocks.blockOf(offset));
    while (here < end) {
      const done = this.#copyKept(dst, out, here, end) || this.#readRun(dst, out, here, end);
      if (done === 0) return false;
      here += done;
      out += done;
    }
    return true;
  }

  /** Where the stored block begins that holds the plain byte at `offset`. */
  #storedBegin(offset: number): number {
    return this.#blocks.storedAt(this.#blocks.blockOf(offset));
  }

  /** Where the stored block ends that holds the last plain byte before `end`. */
  #storedEnd(end: number): number {
    return this.#blocks.storedAt(this.#blocks.blockOf(end - 1) + 1);
  }

  /** @returns whether the range was announced and is decoded: then it has been copied */
  #takeAhead(at: number, end: number, dst: Uint8Array, to: number): boolean {
    const codec = this.#codecAhead;
    if (codec === null || end === at) return false;
    const blocks = this.#blocks;
    const first = blocks.blockOf(at);
    const last = blocks.blockOf(end - 1);
    const wanted = end - blocks.beginOf(last);
    const place = blocksAhead.take(this.#owner, first, last - first + 1, wanted);
    if (place < 0) return false;
    const { plain } = blocksAhead;
    const begin = place - blocks.beginOf(first);
    dst.set(plain.subarray(begin + at, begin + end), to);
    // If the next read begins in the last block, the client reads on. What the cache has of the block is more.
    if (end < blocks.endOf(last) && !this.#cache.has(this.#owner, last)) {
      this.#cache.place(this.#owner, last);
      this.#cache.keep(this.#owner, last, 0);
    }
    return true;
  }

  /** @returns how many bytes from `at` on a kept block gave; 0 when it is not kept */
  #copyKept(dst: Uint8Array, to: number, at: number, end: number): number {
    const blocks = this.#blocks;
    const block = blocks.blockOf(at);
    const within = at - blocks.beginOf(block);
    const until = Math.min(blocks.sizeOf(block), within + end - at);
    const kept = this.#cache.find(this.#owner, block, until);
    if (kept < 0) return 0;
    dst.set(this.#cache.bytes.subarray(kept + within, kept + until), to);
    return until - within;
  }

  /**
   * Reads the blocks of [at, end), as many as one run takes, with one read of the source. Blocks that
   * are wanted whole are decoded to their place, the head and the tail by way of the cache.
   * @returns the plain bytes put into `dst`; 0 when the stored bytes are not at hand
   */
  #readRun(dst: Uint8Array, to: number, at: number, end: number): number {
    const blocks = this.#blocks;
    const run = this.#run;
    run.plan(blocks, blocks.blockOf(at), blocks.blockOf(end - 1) + 1);
    if (!this.#source.read(run.begin, run.stored, run.batch.src, run.batch.base)) return 0;

    const { first, count } = run;
    const last = first + count - 1;
    const lastEnd = blocks.endOf(last);
    const stop = Math.min(end, lastEnd);
    const hasHead = at > blocks.beginOf(first);
    const hasTail = stop < lastEnd;
    if (count === 1 && (hasHead || hasTail)) return this.#part(first, dst, to, at, stop);
    if (count === 2 && hasHead && hasTail) {
      const n = this.#pair(first, dst, to, at, stop);
      if (n > 0) return n;
    }
    let n = 0;
    if (hasHead) n += this.#part(first, dst, to, at, stop);
    n += this.#whole(hasHead ? first + 1 : first, hasTail ? last : last + 1, dst, to + n);
    if (hasTail) n += this.#part(last, dst, to + n, at, stop);
    return n;
  }

  /** Decodes blocks [from, until) of the run to their place. @returns their plain bytes */
  #whole(from: number, until: number, dst: Uint8Array, to: number): number {
    if (from >= until) return 0;
    this.#decode(from, until - from, dst, to, this.#blocks.sizeOf(until - 1));
    return this.#blocks.endOf(until - 1) - this.#blocks.beginOf(from);
  }

  /** How much of a block is decoded if its bytes up to the plain byte `end` are wanted. */
  #lengthFor(block: number, end: number): number {
    const size = this.#blocks.sizeOf(block);
    return this.#mayStop && !this.#isReadOn
      ? Math.min(end - this.#blocks.beginOf(block), size)
      : size;
  }

  /** Decodes one block of the run into the cache and copies what of [at, end) is in it. */
  #part(block: number, dst: Uint8Array, to: number, at: number, end: number): number {
    const cache = this.#cache;
    const kept = cache.place(this.#owner, block);
    const length = this.#lengthFor(block, end);
    this.#decode(block, 1, cache.bytes, kept, length);
    cache.keep(this.#owner, block, length);
    const begin = this.#blocks.beginOf(block);
    const from = Math.max(at - begin, 0);
    const until = Math.min(end - begin, this.#blocks.sizeOf(block));
    dst.set(cache.bytes.subarray(kept + from, kept + until), to);
    return until - from;
  }

  /**
   * Decodes the two blocks of the run into the cache at once, as `#part` does one by one: most reads of
   * a misaligned image want a part of each.
   * @returns 0 when their places in the cache are apart
   */
  #pair(first: number, dst: Uint8Array, to: number, at: number, end: number): number {
    const cache = this.#cache;
    const kept = cache.place(this.#owner, first);
    if (cache.place(this.#owner, first + 1) !== kept + this.#blocks.blockSize) return 0;
    const length = this.#lengthFor(first + 1, end);
    this.#decode(first, 2, cache.bytes, kept, length);
    cache.keep(this.#owner, first, this.#blocks.blockSize);
    cache.keep(this.#owner, first + 1, length);
    const begin = this.#blocks.beginOf(first) - kept;
    dst.set(cache.bytes.subarray(at - begin, end - begin), to);
    return end - at;
  }

  /**
   * Checks and decodes blocks [block, block + count) of the run, the last one up to `wanted` bytes.
   * @throws OverlaybdError BAD_CHECKSUM or BAD_DATA
   */
  #decode(block: number, count: number, dst: Uint8Array, to: number, wanted: number): void {
    const { first, batch } = this.#run;
    const lastSize = this.#blocks.sizeOf(block + count - 1);
    const bad = this.#decoder.decode(batch, block - first, count, dst, to, lastSize, wanted);
    if (bad < 0) return;
    throw formatError({
      blob: this.name,
      section: `block ${first + bad}`,
      offset: this.#blocks.storedAt(first + bad),
      ...describeBadBlock(batch, bad, this.#blocks.sizeOf(first + bad)),
    });
  }
}
