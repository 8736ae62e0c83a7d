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
      const block = this.#blockOf(at);
      const within = at - block * this.#blockSize;
      const blockSize = this.#sizeOf(block);
      if (within === 0 && end - at >= blockSize) {
        // Whole blocks go straight to their place.
        const done = this.#readRun(dst, out, block, end, mayBlock);
        if (done === 0) return false;
        at += done;
        out += done;
        continue;
      }
      if (!this.#fillBlock(block, mayBlock)) return false;
      const n = Math.min(blockSize - within, end - at);
      dst.set(this.#scratch.block.subarray(within, within + n), out);
      at += n;
      out += n;
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

  /**
   * Decodes the whole blocks from `first` on that end by `end`, as many as one run takes.
   * @returns the plain bytes put into `dst`; 0 when the disk must be waited for
   */
  #readRun(
    dst: Uint8Array,
    dstOffset: number,
    first: number,
    end: number,
    mayBlock: boolean,
  ): number {
    const { bounds } = this.#scratch.batch;
    const begin = this.#table.offsetOf(first);
    let count = 0;
    let plain = 0;
    let stored = 0;
    bounds[0] = 0;
    while (count < RUN_BLOCKS) {
      const block = first + count;
      const size = this.#sizeOf(block);
      if (block > this.#lastBlock || block * this.#blockSize + size > end) break;
      const next = this.#table.offsetOf(block + 1) - begin;
      if (next > RUN_BYTES && count > 0) break;
      count++;
      bounds[count] = next;
      stored = next;
      plain += size;
    }
    if (!this.#readStored(begin, stored, first, count, mayBlock)) return 0;
    const lastSize = this.#sizeOf(first + count - 1);
    this.#decode(first, count, dst, dstOffset, lastSize);
    return plain;
  }

  /** Brings one block into the scratch block; @returns false when the disk must be waited for. */
  #fillBlock(block: number, mayBlock: boolean): boolean {
    const scratch = this.#scratch;
    if (scratch.blockOwner === this && scratch.blockIndex === block) return true;
    const begin = this.#table.offsetOf(block);
    const stored = this.#table.offsetOf(block + 1) - begin;
    const { bounds } = scratch.batch;
    bounds[0] = 0;
    bounds[1] = stored;
    if (!this.#readStored(begin, stored, block, 1, mayBlock)) return false;
    scratch.blockOwner = null; // until it holds what it says
    this.#decode(block, 1, scratch.block, 0, this.#sizeOf(block));
    scratch.blockOwner = this;
    scratch.blockIndex = block;
    return true;
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

  #decode(
    first: number,
    count: number,
    dst: Uint8Array,
    dstOffset: number,
    lastSize: number,
  ): void {
    const { batch } = this.#scratch;
    batch.trailerSize = this.#crcSize;
    const bad = this.#decoder.decode(batch, 0, count, dst, dstOffset, this.#blockSize, lastSize);
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
