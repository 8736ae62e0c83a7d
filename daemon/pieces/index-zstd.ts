// Decodes a zstd blob once, frame by frame, and makes the table of a source of its plain bytes: each frame is a piece.

import { createHash } from 'node:crypto';
import type { BlobSource } from '../blob/source.js';
import { formatError, type OverlaybdError } from '../errors.js';
import type { Effort } from '../lib/effort.js';
import { ForwardReader } from './forward-reader.js';
import { MAX_DECODED_BYTES, MAX_STORED_FRAME } from './limits.js';
import { PieceTableBuilder, type PieceTable } from './piece-table.js';
import {
  decodeFrames,
  frameContentSize,
  isFrameMagic,
  MAX_HEADER_SIZE,
  skippedBytes,
  frameAt,
  type ZstdDecoders,
} from './zstd-frames.js';

/** Stored bytes that are read at first: a frame of common tools, or many small ones. */
const FIRST_READ = 1 << 20;
/** To decode this many plain bytes is as much work as 8192 entries of an index. */
const DECODED_A_STEP = 256 * 1024;
const UNITS_A_STEP = 8192;
/** The same of a skippable frame: a blob may be made of them, and they may have no contents. */
const UNITS_A_SKIPPED = 8;
const HEADER_SIZE = 8;

/** A frame that is too long to be decoded for each read. */
export class LongFrame extends Error {
  /** What is wrong with it, if there is no other way. */
  readonly refusal: OverlaybdError;

  constructor(refusal: OverlaybdError) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

/**
 * @param visit gets all plain bytes in their order; the memory is used again after each call
 * @returns what a source of its plain bytes needs; they are filled up to a multiple of 512
 * @throws LongFrame; OverlaybdError BAD_DATA, BAD_FORMAT or LIMIT, and what `visit`, the source and the effort throw
 */
export async function indexZstd(
  source: BlobSource,
  decoders: ZstdDecoders,
  effort: Effort,
  visit: (plain: Buffer) => void,
): Promise<PieceTable> {
  return new Indexer(source, decoders, effort, visit).run();
}

class Indexer {
  readonly #source: BlobSource;
  readonly #decoders: ZstdDecoders;
  readonly #effort: Effort;
  readonly #visit: (plain: Buffer) => void;
  readonly #pieces: PieceTableBuilder;
  readonly #reader: ForwardReader;
  /** For frames that do not say how many bytes they have. */
  #room: Buffer | null = null;

  constructor(
    source: BlobSource,
    decoders: ZstdDecoders,
    effort: Effort,
    visit: (plain: Buffer) => void,
  ) {
    this.#source = source;
    this.#decoders = decoders;
    this.#effort = effort;
    this.#visit = visit;
    this.#reader = new ForwardReader(source);
    this.#pieces = new PieceTableBuilder(source.name, effort);
  }

  async run(): Promise<PieceTable> {
    const { size } = this.#source;
    for (let at = 0; at < size;) {
      const head = await this.#reader.bytesAt(at, Math.min(HEADER_SIZE, size - at));
      const skipped = skippedBytes(head);
      if (skipped !== null) {
        this.#effort.spend(UNITS_A_SKIPPED);
        at += skipped;
        if (at > size) throw this.#bad(size, 'the end of a skippable frame', 'the end of the blob');
        continue;
      }
      at += await this.#frame(at, head);
    }
    return this.#pieces.finish(size);
  }

  /** @returns its stored bytes */
  async #frame(at: number, head: Buffer): Promise<number> {
    if (!isFrameMagic(head)) throw this.#bad(at, 'a zstd frame', 'something else');
    const declared = frameContentSize(await this.#reader.bytesAt(at, this.#headSize(at))) ?? 0;
    if (declared > MAX_DECODED_BYTES) throw this.#tooLong(at, declared);
    const frame = await this.#wholeFrame(at);
    const stored = await this.#reader.bytesAt(at, frame.end);
    const most = frame.plain ?? MAX_DECODED_BYTES;
    this.#effort.spend(Math.ceil((frame.plain ?? frame.end) / DECODED_A_STEP) * UNITS_A_STEP);
    const turn = this.#effort.turn();
    if (turn) await turn;
    this.#effort.progress?.(at, this.#source.size);
    const plain = frame.plain ? this.#exactly(stored, frame.plain) : this.#upTo(stored, most, at);
    if (!plain) throw this.#bad(at, 'a zstd frame that can be decoded', 'something else');
    if (plain.length === 0) return frame.end;
    this.#visit(plain);
    const digest = createHash('sha256').update(plain).digest();
    const { length } = plain;
    this.#pieces.addStored({ codec: 'zstd', begin: at, inner: 0, length, digest });
    return frame.end;
  }

  #headSize(at: number): number {
    return Math.min(MAX_HEADER_SIZE, this.#source.size - at);
  }

  #exactly(stored: Buffer, plain: number): Buffer | null {
    const bytes = decodeFrames(stored, plain, this.#decoders);
    return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** @returns null if it cannot be decoded. @throws OverlaybdError LIMIT */
  #upTo(stored: Buffer, most: number, at: number): Buffer | null {
    this.#room ??= Buffer.allocUnsafeSlow(MAX_DECODED_BYTES + 1);
    const length = this.#decoders.begin.decode(stored, this.#room);
    if (length > most) throw this.#tooLong(at, `at least ${length}`);
    return length < 0 ? null : this.#room.subarray(0, length);
  }

  /** Reads more and more of it: its header does not say how long it is. */
  async #wholeFrame(at: number): Promise<{ end: number; plain: number | null }> {
    const left = this.#source.size - at;
    for (let length = FIRST_READ; ; length *= 2) {
      const bytes = await this.#reader.bytesAt(at, Math.min(length, left));
      const frame = frameAt(bytes, 0);
      if (frame) return frame;
      if (length >= left) throw this.#bad(at, 'a whole zstd frame', 'the end of the blob');
      if (length < MAX_STORED_FRAME) continue;
      throw this.#long(at, `at most ${MAX_STORED_FRAME} stored bytes`, 'a longer one');
    }
  }

  #tooLong(at: number, got: number | string): LongFrame {
    return this.#long(at, `at most ${MAX_DECODED_BYTES} plain bytes`, got);
  }

  #long(offset: number, most: string, got: number | string): LongFrame {
    const blob = this.#source.name;
    const advice = 'or a folder of the cache for a decoded copy; compress it in several frames';
    const expected = `frames of ${most}, ${advice}`;
    const place = { blob, section: 'zstd', offset, expected, got, code: 'LIMIT' } as const;
    return new LongFrame(formatError(place));
  }

  #bad(offset: number, expected: string, got: string): Error {
    const blob = this.#source.name;
    return formatError({ blob, section: 'zstd', offset, expected, got, code: 'BAD_DATA' });
  }
}
