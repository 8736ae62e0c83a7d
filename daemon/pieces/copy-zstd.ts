// Decodes a zstd blob once, as a stream, and keeps its plain bytes in a copy: zstd cannot be decoded from the middle of a
// frame, and a long frame cannot be decoded for each read. The table has the digest of each piece of the copy.

import { createHash } from 'node:crypto';
import type { BlobSource } from '../blob/source.js';
import type { ZstdStream } from '../codec/zstd-stream.js';
import { formatError } from '../errors.js';
import type { Effort } from '../lib/effort.js';
import { ForwardReader } from './forward-reader.js';
import { MAX_COPIED_BYTES } from './limits.js';
import { PieceTableBuilder, type PieceTable } from './piece-table.js';
import {
  isFrameMagic,
  MAX_HEADER_SIZE,
  SKIPPABLE_HEADER_SIZE,
  skippedBytes,
} from './zstd-frames.js';
import { ZstdLimits } from './zstd-limits.js';

/** Plain bytes of a piece of the copy: what is hashed for a cold read. */
const PIECE_SIZE = 1 << 20;
const ZEROS = Buffer.alloc(PIECE_SIZE);
/** To decode a piece is as much work as this many entries of an index. */
const UNITS_A_PIECE = 32_768;
/** The same for the start of a frame with any contents. */
const UNITS_A_FRAME = 8;
/** Frames and blocks may be empty: after this many stored bytes other work gets a turn, even if no piece is complete. */
const STORED_A_TURN = 64 << 10;

/** Where the plain bytes go. */
export interface PlainCopy {
  /**
   * @param position in the plain bytes; those that are left out are zeros
   * @param bytes may change after the promise has resolved
   * @throws OverlaybdError LIMIT, IO
   */
  write(position: number, bytes: Buffer): Promise<void>;
}

/**
 * @param stream is closed at the end
 * @param visit gets all plain bytes in their order; the memory is used again after each call
 * @returns how the plain bytes are read from the copy
 * @throws OverlaybdError BAD_DATA, BAD_FORMAT or LIMIT, and what `visit`, the copy, the source and the effort throw
 */
export async function copyZstd(
  source: BlobSource,
  stream: ZstdStream,
  effort: Effort,
  visit: (plain: Buffer) => void,
  copy: PlainCopy,
): Promise<PieceTable> {
  try {
    return await new Copier(source, stream, effort, visit, copy).run();
  } finally {
    stream.close();
  }
}

class Copier {
  readonly #source: BlobSource;
  readonly #stream: ZstdStream;
  readonly #effort: Effort;
  readonly #visit: (plain: Buffer) => void;
  readonly #copy: PlainCopy;
  readonly #reader: ForwardReader;
  readonly #pieces: PieceTableBuilder;
  readonly #limits: ZstdLimits;
  readonly #piece = Buffer.allocUnsafeSlow(PIECE_SIZE);
  #filled = 0;
  /** Plain bytes before the piece. */
  #position = 0;
  /** How far the blob was read at the last turn. */
  #turnedAt = 0;

  constructor(
    source: BlobSource,
    stream: ZstdStream,
    effort: Effort,
    visit: (plain: Buffer) => void,
    copy: PlainCopy,
  ) {
    this.#source = source;
    this.#stream = stream;
    this.#effort = effort;
    this.#visit = visit;
    this.#copy = copy;
    this.#reader = new ForwardReader(source);
    this.#limits = new ZstdLimits(source.name);
    this.#pieces = new PieceTableBuilder(source.name, effort);
  }

  async run(): Promise<PieceTable> {
    const { size } = this.#source;
    for (let at = 0; at < size;) {
      this.#limits.frame(at);
      this.#effort.spend(UNITS_A_FRAME);
      if (at - this.#turnedAt >= STORED_A_TURN) await this.#turn(at);
      const head = await this.#reader.bytesAt(at, Math.min(MAX_HEADER_SIZE, size - at));
      const skipped = skippedBytes(head);
      if (skipped !== null) {
        this.#limits.decoded(at, SKIPPABLE_HEADER_SIZE, 0);
        at += skipped;
        if (at > size) throw this.#bad(size, 'the end of a skippable frame', 'the end of the blob');
        continue;
      }
      if (!isFrameMagic(head)) throw this.#bad(at, 'a zstd frame', 'something else');
      this.#limits.window(at, head);
      at = await this.#frame(at);
    }
    if (this.#filled > 0) await this.#endPiece(size);
    return this.#pieces.finish(this.#position);
  }

  /** @returns where it ends */
  async #frame(begin: number): Promise<number> {
    for (let at = begin; ;) {
      const stored = await this.#reader.restAt(at);
      const room = this.#piece.subarray(this.#filled);
      const step = this.#stream.step(stored, room);
      if (!step) throw this.#bad(begin, 'a zstd frame that can be decoded', 'something else');
      const { consumed, produced, isFrameEnd } = step;
      this.#limits.decoded(at, consumed, produced);
      at += consumed;
      this.#filled += produced;
      if (this.#filled === PIECE_SIZE) await this.#endPiece(at);
      if (isFrameEnd) return at;
      if (at - this.#turnedAt >= STORED_A_TURN) await this.#turn(at);
      if (consumed > 0 || produced > 0) continue;
      const got = stored.length === 0 ? 'the end of the blob' : 'something else';
      throw this.#bad(begin, 'a whole zstd frame', got);
    }
  }

  /** @param at how far the blob was read */
  async #endPiece(at: number): Promise<void> {
    this.#effort.spend(UNITS_A_PIECE);
    await this.#turn(at);
    const length = this.#filled;
    const plain = this.#piece.subarray(0, length);
    const begin = this.#position;
    if (begin + length > MAX_COPIED_BYTES) {
      const expected = `at most ${MAX_COPIED_BYTES} plain bytes`;
      throw this.#limit(at, expected, 'more');
    }
    this.#visit(plain);
    if (plain.equals(ZEROS.subarray(0, length))) {
      this.#pieces.addZeros(length);
    } else {
      const digest = createHash('sha256').update(plain).digest();
      await this.#copy.write(begin, plain);
      const place = { codec: 'stored', begin, inner: 0, stored: length } as const;
      this.#pieces.addStored({ ...place, length, digest });
    }
    this.#position += length;
    this.#filled = 0;
  }

  /** @param at how far the blob was read */
  async #turn(at: number): Promise<void> {
    this.#turnedAt = at;
    await this.#effort.turn();
    this.#effort.progress?.(at, this.#source.size);
  }

  #limit(offset: number, expected: string, got: string | number): Error {
    const blob = this.#source.name;
    return formatError({ blob, section: 'zstd', offset, expected, got, code: 'LIMIT' });
  }

  #bad(offset: number, expected: string, got: string): Error {
    const blob = this.#source.name;
    return formatError({ blob, section: 'zstd', offset, expected, got, code: 'BAD_DATA' });
  }
}
