// Checks every stored block of a ZFile on its own: checksum, and that it decodes to its size. Keeps
// nothing of what it decodes; reading for clients is reader.ts.

import type { BatchDecoder } from '../codec/decoder.js';
import { OverlaybdError, type FormatProblem, type ProblemSink } from '../errors.js';
import { readLoaded } from '../lib/loaded.js';
import type { BlobSource } from '../blob/source.js';
import { describeBadBlock } from './bad-block.js';
import { BLOCK_CRC_SIZE } from './format.js';
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
  async step(): Promise<number> {
    const first = this.#next;
    const count = this.#gatherRun(first);
    if (count === 0) {
      this.#report();
      return 0;
    }
    await this.#checkRun(first, count);
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

  async #checkRun(first: number, count: number): Promise<void> {
    const { src, base, bounds } = this.#scratch.batch;
    const stored = bounds[count] as number;
    const begin = this.#table.offsetOf(first);
    try {
      await readLoaded(this.#source, begin, stored, () =>
        this.#source.read(begin, stored, src, base),
      );
    } catch (error) {
      await this.#checkOneByOne(first, count, error);
      return;
    }
    const { batch } = this.#scratch;
    const { blockSize } = this.#spec;
    const lastSize = this.#sizeOf(first + count - 1);
    batch.crcSize = this.#crcSize;
    for (let from = 0; from < count;) {
      const plain = this.#plain;
      const bad = this.#decoder.decode(batch, from, count - from, plain, 0, blockSize, lastSize);
      if (bad < 0) return;
      const block = first + bad;
      const { code, expected, got } = describeBadBlock(batch, bad, this.#sizeOf(block));
      this.#add(code, block, expected, got);
      from = bad + 1;
    }
  }

  /** A run that cannot be read is tried again in blocks, to tell the bad ones from the others. */
  async #checkOneByOne(first: number, count: number, error: unknown): Promise<void> {
    if (!(error instanceof OverlaybdError)) throw error;
    if (count === 1) {
      this.#add('IO', first, 'a block that can be read', error.message);
      return;
    }
    for (let block = first; block < first + count; block++) {
      const { bounds } = this.#scratch.batch;
      bounds[0] = 0;
      bounds[1] = this.#table.offsetOf(block + 1) - this.#table.offsetOf(block);
      await this.#checkRun(block, 1);
    }
  }

  #sizeOf(block: number): number {
    const { blockSize, originalSize } = this.#spec;
    return Math.min(blockSize, originalSize - block * blockSize);
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
