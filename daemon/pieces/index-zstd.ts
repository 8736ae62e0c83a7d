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
  SKIPPABLE_HEADER_SIZE,
  skippedBytes,
  frameAt,
  type Frame,
  type ZstdDecoders,
} from './zstd-frames.js';
import { ZstdLimits } from './zstd-limits.js';

/** Stored bytes that are read at first: a frame of common tools, or many small ones. */
const FIRST_READ = 1 << 20;
/** To decode this many plain bytes is as much work as an entry of an index. */
const DECODED_A_UNIT = 32;
/** The same of a frame with any contents, and of one to skip: a blob may be made of them, and they may be empty. */
const UNITS_A_FRAME = 8;

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
  readonly #limits: ZstdLimits;
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
    this.#limits = new ZstdLimits(source.name);
    this.#pieces = new PieceTableBuilder(source.name, effort);
  }

  async run(): Promise<PieceTable> {
    const { size } = this.#source;
    for (let at = 0; at < size;) {
      this.#limits.frame(at);
      this.#effort.spend(UNITS_A_FRAME);
      const rest = await this.#restWithHeader(at);
      const skipped = skippedBytes(rest);
      if (skipped !== null) {
        this.#limits.decoded(at, SKIPPABLE_HEADER_SIZE, 0);
        at += skipped;
        if (at > size) throw this.#bad(size, 'the end of a skippable frame', 'the end of the blob');
        continue;
      }
      at += await this.#frame(at, rest);
    }
    return this.#pieces.finish(size);
  }

  /** What is in memory from there on, with the whole header of a frame unless the blob ends before. */
  async #restWithHeader(at: number): Promise<Buffer> {
    const rest = this.#reader.inMemory(at);
    const length = Math.min(MAX_HEADER_SIZE, this.#source.size - at);
    if (rest.length >= length) return rest;
    await this.#reader.bytesAt(at, length);
    return this.#reader.inMemory(at);
  }

  /**
   * @param rest what is in memory from there on
   * @returns its stored bytes
   */
  async #frame(at: number, rest: Buffer): Promise<number> {
    if (!isFrameMagic(rest)) throw this.#bad(at, 'a zstd frame', 'something else');
    const declared = frameContentSize(rest) ?? 0;
    if (declared > MAX_DECODED_BYTES) throw this.#tooLong(at, declared);
    this.#limits.window(at, rest);
    // Most frames end in what is in memory. To read and copy a long step for each would take hours for millions of them.
    const frame = frameAt(rest, 0) ?? (await this.#wholeFrame(at));
    if (frame.isEmpty) {
      this.#limits.decoded(at, frame.end, 0);
      return frame.end;
    }
    const stored = this.#reader.inMemory(at).subarray(0, frame.end);
    const most = frame.plain ?? MAX_DECODED_BYTES;
    this.#effort.spend(Math.ceil((frame.plain ?? frame.end) / DECODED_A_UNIT));
    const turn = this.#effort.turn();
    if (turn) await turn;
    this.#effort.progress?.(at, this.#source.size);
    const plain = frame.plain ? this.#exactly(stored, frame.plain) : this.#upTo(stored, most, at);
    if (!plain) throw this.#bad(at, 'a zstd frame that can be decoded', 'something else');
    this.#limits.decoded(at, frame.end, plain.length);
    if (plain.length === 0) return frame.end;
    this.#limits.piece(at, frame.end, plain.length);
    this.#visit(plain);
    const digest = createHash('sha256').update(plain).digest();
    const { length } = plain;
    this.#pieces.addStored({ codec: 'zstd', begin: at, inner: 0, length, digest });
    return frame.end;
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
  async #wholeFrame(at: number): Promise<Frame> {
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
