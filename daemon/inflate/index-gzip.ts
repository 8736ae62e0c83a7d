// Inflates a gzip blob once, from its start to its end, and finds the places from which it can be inflated later:
// members, and blocks with the bytes that they refer back to. Members follow each other; zeros may follow the last one.

import { readInto, type BlobSource } from '../blob/source.js';
import { formatError, OverlaybdError } from '../errors.js';
import type { Effort } from '../lib/effort.js';
import {
  INFLATE_BAD_DATA,
  INFLATE_MEMBER_END,
  INFLATE_NO_MEMORY,
  INFLATE_WINDOW,
  inflaters,
} from '../native/inflater.js';
import { MAX_DECODED_BYTES } from '../pieces/limits.js';
import type { PieceTable } from '../pieces/piece-table.js';
import {
  LARGEST_SPAN,
  MAX_PLAIN_BYTES,
  MAX_STORED_SPAN,
  MAX_TRAILING_ZEROS,
  SMALLEST_SPAN,
  SPANS_A_BLOB,
} from './limits.js';
import { SpanTable, type SpanStart } from './span-table.js';

/** Stored bytes of one read. */
const READ_SIZE = 1 << 20;
/** Plain bytes of one step: about a millisecond. */
const STEP_SIZE = 256 * 1024;
/** A step is as much work as this many entries of an index. */
const UNITS_A_STEP = 8192;

/**
 * Inflates a blob.
 * @param visit gets all plain bytes in their order; the memory is used again after each call
 * @param spanSize plain bytes of a span at least, if not by the size of the blob
 * @returns what a source of its plain bytes needs; the plain bytes are filled up to a multiple of 512
 * @throws OverlaybdError BAD_DATA, BAD_FORMAT, LIMIT or UNSUPPORTED, and what `visit`, the source and the effort throw
 */
export async function indexGzip(
  source: BlobSource,
  effort: Effort,
  visit: (plain: Buffer) => void,
  spanSize = spanSizeOf(source.size),
): Promise<PieceTable> {
  const inflater = inflaters.open();
  if (inflater < 0) {
    const text = `${source.name}: gzip needs the zlib of Node.js, which this Node.js does not give to addons`;
    throw new OverlaybdError('UNSUPPORTED', text);
  }
  try {
    return await new Indexer(source, effort, visit, inflater, spanSize).run();
  } finally {
    inflaters.close(inflater);
  }
}

class Indexer {
  readonly #source: BlobSource;
  readonly #effort: Effort;
  readonly #visit: (plain: Buffer) => void;
  readonly #inflater: number;
  readonly #input: Buffer;
  readonly #output = Buffer.allocUnsafeSlow(STEP_SIZE);
  readonly #progress = new Int32Array(4);
  readonly #spans = new SpanTable(memberAt(0));
  readonly #spanSize: number;
  /** Where the input lies in the blob, and how much of it there is and has been consumed. */
  #begin = 0;
  #length = 0;
  #used = 0;

  constructor(
    source: BlobSource,
    effort: Effort,
    visit: (plain: Buffer) => void,
    inflater: number,
    spanSize: number,
  ) {
    this.#source = source;
    this.#effort = effort;
    this.#visit = visit;
    this.#inflater = inflater;
    this.#input = Buffer.allocUnsafeSlow(Math.min(READ_SIZE, source.size));
    this.#spanSize = spanSize;
  }

  async run(): Promise<PieceTable> {
    for (;;) {
      if (!(await this.#hasInput())) throw this.#bad('a whole gzip member', 'the end of the blob');
      this.#effort.spend(UNITS_A_STEP);
      await this.#effort.turn();
      this.#effort.progress?.(this.#at, this.#source.size);
      if (!this.#step()) continue;
      if (!(await this.#hasMember())) {
        this.#cut(memberAt(this.#at));
        return this.#spans.finish();
      }
      // A span of a whole member may take small ones after it; one that began in the middle of a member may not.
      const isLong = this.#spans.length >= this.#spanSize;
      if (isLong || this.#spans.current.codec === 'deflate') this.#cut(memberAt(this.#at));
    }
  }

  /** The next stored byte. */
  get #at(): number {
    return this.#begin + this.#used;
  }

  async #hasInput(): Promise<boolean> {
    if (this.#used < this.#length) return true;
    this.#begin += this.#length;
    this.#used = 0;
    this.#length = Math.min(this.#input.length, this.#source.size - this.#begin);
    await readInto(this.#source, this.#begin, this.#input.subarray(0, this.#length));
    return this.#length > 0;
  }

  /** @returns whether a member ends there */
  #step(): boolean {
    const spans = this.#spans;
    const missing = this.#spanSize - spans.length;
    const isLong = missing <= 0;
    const stop = inflaters.run(
      this.#inflater,
      this.#input,
      this.#used,
      this.#length - this.#used,
      this.#output,
      0,
      isLong ? STEP_SIZE : Math.min(STEP_SIZE, missing),
      isLong ? 1 : 0,
      this.#progress,
    );
    const [consumed = 0, produced = 0, atBlock, bits = 0] = this.#progress;
    const plain = this.#output.subarray(0, produced);
    this.#used += consumed;
    spans.add(plain);
    this.#checkBounds();
    this.#visit(plain);
    if (stop === INFLATE_MEMBER_END) return true;
    if (stop === INFLATE_BAD_DATA) throw this.#bad('gzip', 'something else');
    if (stop === INFLATE_NO_MEMORY) {
      throw new OverlaybdError('LIMIT', `${this.#source.name}: no memory to inflate it`);
    }
    if (isLong && atBlock === 1) {
      // The block may begin within the last byte.
      const begin = bits === 0 ? this.#at : this.#at - 1;
      this.#cut({ codec: 'deflate', begin, bits, window: this.#window() });
    }
    return false;
  }

  /** @returns whether another member begins there: if not, all that is left are zeros */
  async #hasMember(): Promise<boolean> {
    const begin = this.#at;
    while (await this.#hasInput()) {
      while (this.#used < this.#length && this.#input[this.#used] === 0) this.#used++;
      const zeros = this.#at - begin;
      if (zeros > MAX_TRAILING_ZEROS) {
        throw this.#tooMuch(`${MAX_TRAILING_ZEROS} zeros after the last member`, 'more');
      }
      if (this.#used < this.#length) {
        if (zeros > 0) throw this.#bad('zeros up to the end of the blob', 'something else');
        return true;
      }
      this.#effort.spend(UNITS_A_STEP);
      await this.#effort.turn();
      this.#effort.progress?.(this.#at, this.#source.size);
    }
    return false;
  }

  #cut(next: SpanStart): void {
    this.#effort.keep(this.#spans.cut(this.#at, next), this.#source.name);
  }

  #window(): Uint8Array {
    const window = Buffer.allocUnsafeSlow(INFLATE_WINDOW);
    return window.subarray(0, inflaters.window(this.#inflater, window));
  }

  #checkBounds(): void {
    const { length, size, current } = this.#spans;
    const stored = this.#at - current.begin;
    if (size > MAX_PLAIN_BYTES) throw this.#tooMuch(`${MAX_PLAIN_BYTES} plain bytes`, size);
    if (length > MAX_DECODED_BYTES) {
      throw this.#tooMuch(`${MAX_DECODED_BYTES} plain bytes of one block`, length);
    }
    if (stored > MAX_STORED_SPAN) {
      throw this.#tooMuch(`${MAX_STORED_SPAN} stored bytes for ${length} plain ones`, stored);
    }
  }

  #tooMuch(most: string, got: number | string): OverlaybdError {
    return formatError({ ...this.#place(), expected: `at most ${most}`, got, code: 'LIMIT' });
  }

  #bad(expected: string, got: string): OverlaybdError {
    return formatError({ ...this.#place(), expected, got, code: 'BAD_DATA' });
  }

  #place(): { blob: string; section: string; offset: number } {
    return { blob: this.#source.name, section: 'gzip', offset: this.#at };
  }
}

/**
 * Plain bytes between two places from which a blob is inflated.
 * @param stored bytes of the blob
 * @internal for its unit test
 */
export function spanSizeOf(stored: number): number {
  return Math.min(Math.max(Math.ceil(stored / SPANS_A_BLOB), SMALLEST_SPAN), LARGEST_SPAN);
}

function memberAt(begin: number): SpanStart {
  return { codec: 'gzip', begin, bits: 0, window: new Uint8Array(0) };
}
