// Checks every stored block of a ZFile on its own: checksum, and that it decodes to its size. Keeps
// nothing of what it decodes; reading for clients is reader.ts.

import type { BatchDecoder } from '../codec/decoder.js';
import { OverlaybdError, type FormatProblem, type ProblemSink } from '../errors.js';
import { native } from '../native/binding.js';
import type { BlobSource } from '../blob/source.js';
import { BLOCK_CRC_SEED, BLOCK_CRC_SIZE } from './format.js';
import { JumpTable } from './jump-table.js';
import { ZfileScratch, type ZfileSpec } from './reader.js';

/** Plain bytes of one run: what was decoded need not leave the processor's cache. */
const RUN_PLAIN_BYTES = 256 * 1024;

/** What is wrong with a block, or with the blocks of one kind that follow each other. */
interface Bad {
  readonly kind: 'BAD_CHECKSUM' | 'BAD_DATA' | 'IO';
  readonly first: number;
  last: number;
  readonly expected: string;
  readonly got: string;
}

/** Goes through a file once, run by run, so that its user decides when to pause. */
export class ZfileVerifier {
  readonly #spec: ZfileSpec;
  readonly #source: BlobSource;
  readonly #decoder: BatchDecoder;
  readonly #sink: ProblemSink;
  readonly #table: JumpTable;
  readonly #scratch = new ZfileScratch();
  readonly #plain: Buffer;
  readonly #crcSize: number;
  #next = 0;
  #bad: Bad | null = null;
  /** Blocks found bad so far. */
  badBlocks = 0;

  /**
   * @param source the stored bytes that the spec's table points into
   * @param sink gets one problem for each range of bad blocks
   */
  constructor(spec: ZfileSpec, source: BlobSource, decoder: BatchDecoder, sink: ProblemSink) {
    this.#spec = spec;
    this.#source = source;
    this.#decoder = decoder;
    this.#sink = sink;
    this.#table = new JumpTable(spec.table);
    this.#plain = Buffer.allocUnsafeSlow(Math.max(RUN_PLAIN_BYTES, spec.blockSize));
    this.#crcSize = spec.verify ? BLOCK_CRC_SIZE : 0;
  }

  /** Checks the next blocks. @returns their plain bytes; 0 at the end, when all is reported */
  step(): number {
    const first = this.#next;
    const count = this.#gatherRun(first);
    if (count === 0) {
      this.#report();
      return 0;
    }
    this.#checkRun(first, count);
    this.#next += count;
    const { blockSize, originalSize } = this.#spec;
    return Math.min(count * blockSize, originalSize - first * blockSize);
  }

  /** Fills the bounds of the run that begins at `first`. @returns its blocks */
  #gatherRun(first: number): number {
    const { src, base, bounds } = this.#scratch.batch;
    const { blockSize, table } = this.#spec;
    const capacity = src.length - base;
    const most = Math.min(
      table.count - first,
      bounds.length - 1,
      Math.floor(this.#plain.length / blockSize),
    );
    if (most === 0) return 0;
    const begin = this.#table.offsetOf(first);
    let count = 0;
    bounds[0] = 0;
    while (count < most) {
      const end = this.#table.offsetOf(first + count + 1) - begin;
      if (end > capacity) break;
      bounds[++count] = end;
    }
    return count;
  }

  #checkRun(first: number, count: number): void {
    const { src, base, bounds } = this.#scratch.batch;
    const stored = bounds[count] as number;
    try {
      this.#source.read(src, base, stored, this.#table.offsetOf(first), true);
    } catch (error) {
      this.#checkOneByOne(first, count, error);
      return;
    }
    let from = 0;
    while (from < count) {
      const good = this.#goodChecksums(from, count);
      this.#decodeAll(first, from, good);
      if (good < count) this.#badChecksum(first, good);
      from = good + 1;
    }
  }

  /** A run that cannot be read is tried again in blocks, to tell the bad ones from the others. */
  #checkOneByOne(first: number, count: number, error: unknown): void {
    if (!(error instanceof OverlaybdError)) throw error;
    if (count === 1) {
      this.#add('IO', first, 'a block that can be read', error.message);
      return;
    }
    for (let block = first; block < first + count; block++) {
      const { bounds } = this.#scratch.batch;
      bounds[0] = 0;
      bounds[1] = this.#table.offsetOf(block + 1) - this.#table.offsetOf(block);
      this.#checkRun(block, 1);
    }
  }

  /** @returns the first block of the run from `from` on whose checksum is wrong, or `count` */
  #goodChecksums(from: number, count: number): number {
    if (this.#crcSize === 0) return count;
    const { src, base, bounds } = this.#scratch.batch;
    const rest = bounds.subarray(from);
    const bad = native.crc32cVerifyBlocks(src, base, rest, count - from, BLOCK_CRC_SEED);
    return bad < 0 ? count : from + bad;
  }

  /** Decodes blocks [from, end) of the run that begins with block `first` of the file. */
  #decodeAll(first: number, from: number, end: number): void {
    const { batch } = this.#scratch;
    const { blockSize } = this.#spec;
    batch.trailerSize = this.#crcSize;
    while (from < end) {
      const bad = this.#decoder.decode(
        batch,
        from,
        end - from,
        this.#plain,
        0,
        blockSize,
        this.#sizeOf(first + end - 1),
      );
      if (bad < 0) return;
      const size = this.#sizeOf(first + bad);
      this.#add(
        'BAD_DATA',
        first + bad,
        `data that decodes to ${size} bytes`,
        'data that does not',
      );
      from = bad + 1;
    }
  }

  #sizeOf(block: number): number {
    const { blockSize, originalSize } = this.#spec;
    return Math.min(blockSize, originalSize - block * blockSize);
  }

  #badChecksum(first: number, bad: number): void {
    const { src, base, bounds } = this.#scratch.batch;
    const begin = bounds[bad] as number;
    const crcAt = (bounds[bad + 1] as number) - BLOCK_CRC_SIZE;
    const expected = src.readUInt32LE(base + crcAt);
    const got = native.crc32c(src, base + begin, crcAt - begin, BLOCK_CRC_SEED);
    this.#add(
      'BAD_CHECKSUM',
      first + bad,
      `checksum 0x${expected.toString(16)}`,
      `0x${got.toString(16)}`,
    );
  }

  #add(kind: Bad['kind'], block: number, expected: string, got: string): void {
    this.badBlocks++;
    if (this.#bad?.kind === kind && this.#bad.last === block - 1) {
      this.#bad.last = block;
      return;
    }
    this.#report();
    this.#bad = { kind, first: block, last: block, expected, got };
  }

  #report(): void {
    if (!this.#bad) return;
    const { kind, first, last, expected, got } = this.#bad;
    this.#bad = null;
    const problem: FormatProblem = {
      blob: this.#spec.name,
      section: first === last ? `block ${first}` : `blocks ${first} to ${last}, the first`,
      offset: this.#table.offsetOf(first),
      expected,
      got,
      ...(kind !== 'IO' && { code: kind }),
    };
    this.#sink(problem);
  }
}
