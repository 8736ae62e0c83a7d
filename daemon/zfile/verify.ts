// Checks every stored block of a ZFile on its own: checksum, and that it decodes to its size. Keeps
// nothing of what it decodes; reading for clients is reader.ts.

import type { BatchDecoder } from '../codec/batch.js';
import { OverlaybdError, type FormatProblem, type ProblemSink } from '../errors.js';
import { readLoaded } from '../lib/loaded.js';
import type { BlobSource } from '../blob/source.js';
import { describeBadBlock } from './bad-block.js';
import { Blocks, type ZfileSpec } from './blocks.js';
import { Run } from './run.js';

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
  readonly #name: string;
  readonly #source: BlobSource;
  readonly #decoder: BatchDecoder;
  readonly #sink: ProblemSink;
  readonly #blocks: Blocks;
  readonly #run = new Run();
  readonly #plain: Buffer;
  #next = 0;
  #bad: Bad | null = null;
  /** Blocks found bad so far. */
  badBlocks = 0;

  /**
   * @param source the stored bytes that the spec's table points into
   * @param sink gets one problem for each range of bad blocks
   */
  constructor(spec: ZfileSpec, source: BlobSource, decoder: BatchDecoder, sink: ProblemSink) {
    this.#name = spec.name;
    this.#source = source;
    this.#decoder = decoder;
    this.#sink = sink;
    this.#blocks = new Blocks(spec);
    this.#plain = Buffer.allocUnsafeSlow(Math.max(RUN_PLAIN_BYTES, spec.blockSize));
  }

  /** Checks the next blocks. @returns their plain bytes; 0 at the end, when all is reported */
  async step(): Promise<number> {
    const blocks = this.#blocks;
    const first = this.#next;
    const most = Math.floor(this.#plain.length / blocks.blockSize);
    const end = Math.min(blocks.count, first + most);
    if (first === end) {
      this.#report();
      return 0;
    }
    this.#run.plan(blocks, first, end);
    const last = first + this.#run.count - 1;
    await this.#checkRun();
    this.#next = last + 1;
    return blocks.endOf(last) - blocks.beginOf(first);
  }

  /** Checks the run that was planned. */
  async #checkRun(): Promise<void> {
    const { first, count, begin, stored, batch } = this.#run;
    try {
      await readLoaded(this.#source, begin, stored, () =>
        this.#source.read(begin, stored, batch.src, batch.base),
      );
    } catch (error) {
      await this.#checkOneByOne(first, count, error);
      return;
    }
    const lastSize = this.#blocks.sizeOf(first + count - 1);
    for (let from = 0; from < count;) {
      const left = count - from;
      const bad = this.#decoder.decode(batch, from, left, this.#plain, 0, lastSize, lastSize);
      if (bad < 0) return;
      const block = first + bad;
      const { code, expected, got } = describeBadBlock(batch, bad, this.#blocks.sizeOf(block));
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
      this.#run.plan(this.#blocks, block, block + 1);
      await this.#checkRun();
    }
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
      blob: this.#name,
      section: first === last ? `block ${first}` : `blocks ${first} to ${last}, the first`,
      offset: this.#blocks.storedAt(first),
      expected,
      got,
      ...(kind !== 'IO' && { code: kind }),
    };
    this.#sink(problem);
  }
}
