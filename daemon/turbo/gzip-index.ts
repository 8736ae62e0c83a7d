// Reads turboOCI's index of a gzip blob: the places from which the blob can be inflated, as the table of a source of
// its plain bytes.

import { checkSize, readFully, type BlobSource } from '../blob/source.js';
import { formatError, messageOf } from '../errors.js';
import { u64le, viewOf } from '../lib/bytes.js';
import type { Effort } from '../lib/effort.js';
import { MAX_DECODED_BYTES, mostStored } from '../pieces/limits.js';
import type { PieceTable } from '../pieces/piece-table.js';
import {
  CHECKPOINT_SIZE,
  INDEX_HEADER_SIZE,
  WINDOW_SIZE,
  parseIndexHeader,
  type IndexHeader,
} from './index-header.js';
import { MAX_GZIP_INDEX_BYTES } from './limits.js';
import { CheckpointTable, type Span } from './checkpoint-table.js';

/** To inflate a window is as much work as this many entries of an index. */
const UNITS_A_WINDOW = 1024;

/** A place in the gzip blob from which it can be inflated. */
interface Checkpoint {
  /** Plain bytes in front of it. */
  readonly plain: number;
  /** Byte offset in the gzip blob. */
  readonly stored: number;
  /** High bits of the byte before that belong to it, too. */
  readonly bits: number;
  /** Where its window is in the index. */
  readonly window: number;
  readonly windowLength: number;
}

/**
 * @param index the gzip index
 * @param gzip the blob that it is of
 * @returns what a source of the plain bytes needs. Of all spans but the last, the index has the last 32 KiB in the next
 *   window: a span that ends otherwise is refused when it is read
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, BAD_DATA, LIMIT, and what the index and the effort throw
 */
export async function readGzipIndex(
  index: BlobSource,
  gzip: Pick<BlobSource, 'name' | 'size'>,
  effort: Effort,
): Promise<PieceTable> {
  checkSize(index, MAX_GZIP_INDEX_BYTES, 'gzip index');
  const bytes = await readFully(index, 0, index.size);
  return new IndexReader(bytes, index.name, gzip, effort).run();
}

function spanBetween(
  { plain, stored, bits }: Checkpoint,
  end: Pick<Checkpoint, 'plain' | 'stored'>,
): Span {
  // Its first bits may be in the byte before.
  const begin = bits === 0 ? stored : stored - 1;
  return { begin, bits, stored: end.stored - begin, plain: end.plain - plain };
}

/** The size that the header of an index claims for its blob. @throws OverlaybdError as readGzipIndex */
export async function indexedSize(index: BlobSource): Promise<number> {
  const head = await readFully(index, 0, Math.min(index.size, INDEX_HEADER_SIZE));
  return parseIndexHeader(head, index.name, { index: index.size, gzip: null }).gzipSize;
}

class IndexReader {
  readonly #bytes: Buffer;
  readonly #blob: string;
  readonly #gzipSize: number;
  readonly #effort: Effort;
  readonly #header: IndexHeader;
  #windowBytes = 0;

  constructor(bytes: Buffer, blob: string, gzip: Pick<BlobSource, 'size'>, effort: Effort) {
    this.#bytes = bytes;
    this.#blob = blob;
    this.#gzipSize = gzip.size;
    this.#effort = effort;
    this.#header = parseIndexHeader(bytes, blob, { index: bytes.length, gzip: gzip.size });
  }

  async run(): Promise<PieceTable> {
    const { count, plainSize } = this.#header;
    const area = this.#area();
    const spans = new CheckpointTable(this.#blob, this.#effort);
    let at = this.#checkpoint(area, 0);
    let window = this.#window(0, at);
    for (let i = 0; i < count; i++) {
      this.#effort.spend(UNITS_A_WINDOW);
      const turn = this.#effort.turn();
      if (turn) await turn;
      const next = i + 1 < count ? this.#checkpoint(area, i + 1, at) : null;
      const nextWindow = next && this.#window(i + 1, next);
      const end = next ?? { plain: plainSize, stored: this.#gzipSize };
      const span = spanBetween(at, end);
      // The last checkpoint may be at the end.
      if (span.plain > 0) {
        this.#checkSpan(i, span);
        spans.add(span, window, nextWindow);
      }
      if (!next || !nextWindow) break;
      at = next;
      window = nextWindow;
    }
    return spans.finish();
  }

  /** The checkpoints, one after the other. */
  #area(): Buffer {
    const { algorithm, count, areaBegin } = this.#header;
    const size = count * CHECKPOINT_SIZE;
    const stored = this.#bytes.subarray(areaBegin);
    const area =
      algorithm === 'raw' ? stored : this.#inflated(stored, size, 'checkpoints', areaBegin);
    if (area.length === size) return area;
    return this.#bad('checkpoints', areaBegin, `${size} bytes`, area.length);
  }

  #checkpoint(area: Buffer, i: number, before?: Checkpoint): Checkpoint {
    const at = i * CHECKPOINT_SIZE;
    const view = viewOf(area);
    const { plainSize, areaBegin } = this.#header;
    const number = (field: number, what: string, least: number, most: number): number => {
      const value = u64le(view, at + field);
      if (value >= least && value <= most) return value;
      return this.#badField(i, what, `${least} to ${most}`, value);
    };
    // Each has bytes after the one before; the last may have none.
    const plain = before
      ? number(0, 'plain offset', before.plain + 1, plainSize)
      : number(0, 'plain offset', 0, 0);
    const stored = number(8, 'offset', before ? before.stored + 1 : 1, this.#gzipSize - 1);
    const windowLength = view.getUint32(at + 25, true);
    const window = number(16, 'window', INDEX_HEADER_SIZE, areaBegin - windowLength);
    this.#windowBytes += windowLength;
    // Several with one window would let a small index have any number of them.
    if (this.#windowBytes > areaBegin - INDEX_HEADER_SIZE) {
      this.#badField(i, 'window length', 'windows that do not overlap', windowLength);
    }
    const bits = view.getUint8(at + 24);
    if (bits > 7) this.#badField(i, 'bits', '0 to 7', bits);
    return { plain, stored, bits, window, windowLength };
  }

  #checkSpan(i: number, { plain, stored }: Span): void {
    if (plain > MAX_DECODED_BYTES) {
      this.#badField(i, 'span', `at most ${MAX_DECODED_BYTES} plain bytes`, plain, 'LIMIT');
    }
    const most = mostStored(plain);
    if (stored > most) {
      const expected = `at most ${most} stored bytes for ${plain} plain ones`;
      this.#badField(i, 'span', expected, stored, 'LIMIT');
    }
  }

  #window(i: number, { window: offset, windowLength }: Checkpoint): Buffer {
    const stored = this.#bytes.subarray(offset, offset + windowLength);
    const what = `window ${i}`;
    const window =
      this.#header.algorithm === 'raw' ? stored : this.#inflated(stored, WINDOW_SIZE, what, offset);
    if (window.length === WINDOW_SIZE) return window;
    return this.#bad(what, offset, `${WINDOW_SIZE} bytes`, window.length);
  }

  #inflated(stored: Buffer, most: number, what: string, offset: number): Buffer {
    try {
      const { inflateSync } = process.getBuiltinModule('node:zlib');
      return inflateSync(stored, { maxOutputLength: most });
    } catch (error) {
      return this.#bad(what, offset, `zlib of at most ${most} bytes`, messageOf(error), 'BAD_DATA');
    }
  }

  #badField(
    i: number,
    what: string,
    expected: string,
    got: number,
    code?: 'BAD_FORMAT' | 'LIMIT',
  ): never {
    // The checkpoints may be compressed: they have one place.
    return this.#bad(`checkpoint ${i} ${what}`, this.#header.areaBegin, expected, got, code);
  }

  #bad(
    what: string,
    offset: number,
    expected: string,
    got: string | number,
    code: 'BAD_FORMAT' | 'BAD_DATA' | 'LIMIT' = 'BAD_FORMAT',
  ): never {
    throw formatError({
      blob: this.#blob,
      section: `gzip index ${what}`,
      offset,
      expected,
      got,
      code,
    });
  }
}
