// Reads a ZFile's plain bytes: which blocks, one read for a run of them, checks, decode. A blob
// source like any other, so that LSMT does not know whether it is compressed.

import type { Algorithm } from '../codec/algorithm.js';
import { DECODE_HEADROOM, type Batch, type BatchDecoder } from '../codec/decoder.js';
import { formatError } from '../errors.js';
import { native } from '../native/binding.js';
import type { BlobSource } from '../blob/source.js';
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
    trailerSize: 0,
  };

  /** The block that a read last wanted only a part of: the next read often wants the rest. */
  readonly block = Buffer.allocUnsafeSlow(MAX_BLOCK_SIZE);
  blockOwner: ZfileReader | null = null;
  blockIndex = -1;
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

  read(
    dst: Uint8Array,
    dstOffset: number,
    length: number,
    offset: number,
    mayBlock: boolean,
  ): boolean {
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
    let at = offset;
    let out = dstOffset;
    while (at < end) {
      const done = this.#copyKept(dst, out, at, end) || this.#readRun(dst, out, at, end, mayBlock);
      if (done === 0) return false;
      at += done;
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

  /** @returns how many bytes from `at` on the kept block gave; 0 when it is another one */
  #copyKept(dst: Uint8Array, dstOffset: number, at: number, end: number): number {
    const { blockOwner, blockIndex, block } = this.#scratch;
    if (blockOwner !== this || blockIndex !== this.#blockOf(at)) return 0;
    const within = at - blockIndex * this.#blockSize;
    const n = Math.min(this.#sizeOf(blockIndex) - within, end - at);
    dst.set(block.subarray(within, within + n), dstOffset);
    return n;
  }

  /**
   * Reads the blocks of [at, end), as many as one run takes, with one read of the source. Blocks
   * that are wanted whole are decoded to their place, the others by way of the kept block.
   * @returns the plain bytes put into `dst`; 0 when the disk must be waited for
   */
  #readRun(dst: Uint8Array, dstOffset: number, at: number, end: number, mayBlock: boolean): number {
    const first = this.#blockOf(at);
    const count = this.#planRun(first, end);
    const begin = this.#table.offsetOf(first);
    const stored = this.#scratch.batch.bounds[count] as number;
    if (!this.#readStored(begin, stored, first, count, mayBlock)) return 0;

    const runBegin = first * this.#blockSize;
    const runEnd = Math.min(
      end,
      (first + count - 1) * this.#blockSize + this.#sizeOf(first + count - 1),
    );
    let from = 0;
    let out = dstOffset;
    if (at > runBegin || runEnd < runBegin + this.#sizeOf(first)) {
      out += this.#decodePart(first, 0, dst, out, at - runBegin, runEnd);
      from = 1;
    }
    if (from === count) return out - dstOffset;
    const last = first + count - 1;
    const lastIsPart = runEnd < last * this.#blockSize + this.#sizeOf(last);
    const whole = count - from - (lastIsPart ? 1 : 0);
    if (whole > 0) {
      const lastSize = this.#sizeOf(first + from + whole - 1);
      this.#decode(first, from, whole, dst, out, lastSize);
      out += (whole - 1) * this.#blockSize + lastSize;
    }
    if (lastIsPart) out += this.#decodePart(last, count - 1, dst, out, 0, runEnd);
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

  /** Decodes one block of the run into the kept block and copies what is wanted of it. */
  #decodePart(
    block: number,
    index: number,
    dst: Uint8Array,
    dstOffset: number,
    within: number,
    end: number,
  ): number {
    const scratch = this.#scratch;
    const size = this.#sizeOf(block);
    scratch.blockOwner = null; // until it holds what it says
    this.#decode(block - index, index, 1, scratch.block, 0, size);
    scratch.blockOwner = this;
    scratch.blockIndex = block;
    const n = Math.min(block * this.#blockSize + size, end) - (block * this.#blockSize + within);
    dst.set(scratch.block.subarray(within, within + n), dstOffset);
    return n;
  }

  /** Reads a run's stored bytes and checks their CRCs. */
  #readStored(
    begin: number,
    stored: number,
    first: number,
    count: number,
    mayBlock: boolean,
  ): boolean {
    const { src, base, bounds } = this.#scratch.batch;
    if (!this.#source.read(src, base, stored, begin, mayBlock)) return false;
    if (this.#crcSize === 0) return true;
    const bad = native.crc32cVerifyBlocks(src, base, bounds, count, BLOCK_CRC_SEED);
    if (bad >= 0) this.#badChecksum(begin, first, bad);
    return true;
  }

  /** Decodes blocks [index, index + count) of the run that begins with block `first`. */
  #decode(
    first: number,
    index: number,
    count: number,
    dst: Uint8Array,
    dstOffset: number,
    lastSize: number,
  ): void {
    const { batch } = this.#scratch;
    batch.trailerSize = this.#crcSize;
    const bad = this.#decoder.decode(
      batch,
      index,
      count,
      dst,
      dstOffset,
      this.#blockSize,
      lastSize,
    );
    if (bad < 0) return;
    const block = first + bad;
    throw formatError({
      blob: this.name,
      section: `block ${block}`,
      offset: this.#table.offsetOf(block),
      expected: `data that decodes to ${this.#sizeOf(block)} bytes`,
      got: 'data that does not',
      code: 'BAD_DATA',
    });
  }

  #badChecksum(begin: number, first: number, bad: number): never {
    const { src, base, bounds } = this.#scratch.batch;
    const blockBegin = bounds[bad] as number;
    const crcAt = (bounds[bad + 1] as number) - BLOCK_CRC_SIZE;
    const expected = src.readUInt32LE(base + crcAt);
    const got = native.crc32c(src, base + blockBegin, crcAt - blockBegin, BLOCK_CRC_SEED);
    throw formatError({
      blob: this.name,
      section: `block ${first + bad}`,
      offset: begin + blockBegin,
      expected: `checksum 0x${expected.toString(16)}`,
      got: `0x${got.toString(16)}`,
      code: 'BAD_CHECKSUM',
    });
  }
}
