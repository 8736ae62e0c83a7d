// What a blob says about chunks that are stored together: parts of an ordinary tar.gz (zran), which is inflated from the
// middle, and small chunks that are compressed together (batches). The chunk table of the bootstrap does not say where
// they are.

import { readFully, type BlobSource } from '../blob/source.js';
import { formatError, OverlaybdError, messageOf, type FormatProblem } from '../errors.js';
import { hex32 } from '../lib/bytes.js';
import { DECODED_BYTES_A_UNIT, type Effort } from '../lib/effort.js';
import type { RafsBlob } from './blob-table.js';
import { decodePart, type Decoders } from './decode-part.js';
import { u64 } from './image-bytes.js';
import { MAX_INFO_BYTES } from './limits.js';

const HEADER = 4096;
const MAGIC = 0xb10b_b10b;
/** An entry for each chunk, by its number. */
const ENTRY = 24;
/** A context holds several chunks. */
const CONTEXT = 40;
const BLOCK = 4096;
const FLAG_ZRAN = 2;
const FLAG_BATCH = 4;
const BITS_24 = 0xff_ffff;

/** Where one chunk is. */
export interface ChunkPlace {
  /** The number of its context; null: it is stored by itself, as the chunk table says. */
  readonly context: number | null;
  /** Byte offset in the plain bytes of the context. */
  readonly inner: number;
  /** Byte offset in the plain bytes of the blob. */
  readonly offset: number;
  /** Plain bytes. */
  readonly length: number;
  /** Byte offset in the blob. */
  readonly begin: number;
}

/** A part of a tar.gz that can be inflated by itself. */
export interface ZranContext {
  /** Byte offset in the blob of the byte that has its first bit. */
  readonly begin: number;
  /** Stored bytes. */
  readonly stored: number;
  /** Plain bytes. */
  readonly plain: number;
  /** High bits of the first byte that belong to it; 0: all of it. */
  readonly bits: number;
  /** The last bytes in front of it. */
  readonly window: Buffer;
}

/** A batch. */
export interface BatchContext {
  readonly stored: number;
  readonly plain: number;
}

export class CompressionInfo {
  readonly #bytes: Buffer;
  readonly #chunks: number;
  readonly #contextsAt: number;
  readonly #contexts: number;
  readonly #blob: string;

  /** @param bytes entries, contexts, and the windows of these */
  constructor(blob: string, bytes: Buffer, chunks: number, contextsAt: number, contexts: number) {
    this.#blob = blob;
    this.#bytes = bytes;
    this.#chunks = chunks;
    this.#contextsAt = contextsAt;
    this.#contexts = contexts;
  }

  /** Bytes that all windows have together: contexts do not share them. */
  get windowBytes(): number {
    return this.#bytes.length - this.#contextsAt - this.#contexts * CONTEXT;
  }

  /** @throws OverlaybdError BAD_FORMAT if there is no such chunk, or no such context */
  chunk(number: number): ChunkPlace {
    if (number >= this.#chunks) {
      throw this.#bad(0, `a chunk below ${this.#chunks}`, number);
    }
    const at = number * ENTRY;
    const bytes = this.#bytes;
    const high = bytes.readUInt32LE(at + 4);
    const flags = high >>> 24;
    const isShared = (flags & (FLAG_ZRAN | FLAG_BATCH)) !== 0;
    const context = bytes.readUInt32LE(at + 20);
    if (isShared && context >= this.#contexts) {
      throw this.#bad(at + 20, `a context below ${this.#contexts}`, context);
    }
    return {
      context: isShared ? context : null,
      inner: isShared ? bytes.readUInt32LE(at + 16) : 0,
      offset: bytes.readUInt32LE(at) * BLOCK,
      length: (high & BITS_24) + 1,
      begin: bytes.readUInt32LE(at + 8) + bytes.readUInt8(at + 12) * 2 ** 32,
    };
  }

  /** @param number below that of contexts. @throws OverlaybdError BAD_FORMAT */
  zran(number: number): ZranContext {
    const at = this.#contextsAt + number * CONTEXT;
    const bytes = this.#bytes;
    const bits = bytes.readUInt8(at + 37);
    if (bits > 7) throw this.#bad(at + 37, 'at most 7 bits', bits);
    const begin = u64(bytes, at) - (bits > 0 ? 1 : 0);
    if (begin < 0) throw this.#bad(at, 'a byte in front of it, which has its first bits', 0);
    const windowAt = this.#contextsAt + this.#contexts * CONTEXT + u64(bytes, at + 16);
    const windowSize = bytes.readUInt32LE(at + 32);
    if (windowSize > MAX_WINDOW || windowAt + windowSize > bytes.length) {
      const expected = `a window of at most ${MAX_WINDOW} bytes that ends by ${bytes.length}`;
      throw this.#bad(at + 16, expected, `${windowSize} bytes at ${windowAt}`);
    }
    return {
      begin,
      stored: bytes.readUInt32LE(at + 24) + (bits > 0 ? 1 : 0),
      plain: bytes.readUInt32LE(at + 28),
      bits,
      window: bytes.subarray(windowAt, windowAt + windowSize),
    };
  }

  /** @param number below that of contexts */
  batch(number: number): BatchContext {
    const at = this.#contextsAt + number * CONTEXT;
    return { stored: this.#bytes.readUInt32LE(at), plain: this.#bytes.readUInt32LE(at + 4) };
  }

  #bad(offset: number, expected: string, got: string | number): OverlaybdError {
    return formatError({ blob: this.#blob, section: SECTION, offset, expected, got });
  }
}

const SECTION = 'compression information';
/** What deflate refers back to at most. */
const MAX_WINDOW = 32_768;

/**
 * Reads the information of a blob. Nothing verifies it; the digests of chunks say whether it was right.
 * @param source the blob that has it, which may be another one than that with the chunks
 * @throws OverlaybdError BAD_FORMAT, BAD_DATA, LIMIT, and what reading and the effort throw
 */
export async function readCompressionInfo(
  source: BlobSource,
  { info, chunkCount }: RafsBlob,
  decoders: Decoders,
  effort: Effort,
): Promise<CompressionInfo> {
  const { name: blob, size } = source;
  const { offset, stored, plain, codec } = info;
  const bad = (
    at: number,
    expected: string,
    got: string | number,
    code: FormatProblem['code'] = 'BAD_FORMAT',
  ): OverlaybdError => formatError({ blob, section: SECTION, offset: at, expected, got, code });
  if (plain > MAX_INFO_BYTES || stored > MAX_INFO_BYTES) {
    throw bad(offset, `at most ${MAX_INFO_BYTES} bytes`, Math.max(plain, stored), 'LIMIT');
  }
  // A file that a daemon of Nydus keeps has it at its start, decoded, and the header in a block of its own.
  const isKept =
    size === Math.ceil(plain / BLOCK) * BLOCK + HEADER && offset + stored + HEADER !== size;
  const end = isKept ? size : offset + stored + HEADER;
  if (end > size) throw bad(offset, `a header that ends by ${size}`, end);
  effort.spend(Math.ceil((stored + plain) / DECODED_BYTES_A_UNIT));
  const header = await readFully(source, end - HEADER, HEADER);
  const magics = [header.readUInt32LE(0), header.readUInt32LE(HEADER - 4)];
  if (magics.some((magic) => magic !== MAGIC)) {
    throw bad(end - HEADER, `the magic ${hex32(MAGIC)}`, magics.map(hex32).join(' and '));
  }
  const chunks = header.readUInt32LE(12);
  if (chunks !== chunkCount) throw bad(end - HEADER + 12, `${chunkCount} chunks`, chunks);
  const contextsAt = u64(header, 40);
  const contexts = header.readUInt32LE(56);
  if (contextsAt < chunks * ENTRY || contextsAt + contexts * CONTEXT > plain) {
    const expected = `contexts of ${CONTEXT} bytes, after ${chunks} chunks, that end by ${plain}`;
    throw bad(end - HEADER + 40, expected, `${contexts} at ${contextsAt}`);
  }
  const bytes = await readFully(source, isKept ? 0 : offset, isKept ? plain : stored);
  try {
    const decoded = isKept ? bytes : decodePart(bytes, plain, codec, decoders);
    if (decoded) return new CompressionInfo(blob, decoded, chunks, contextsAt, contexts);
    throw bad(offset, `${plain} bytes, stored as ${codec}`, 'something else', 'BAD_DATA');
  } catch (error) {
    if (error instanceof OverlaybdError) throw error;
    throw bad(offset, `${plain} bytes, stored as ${codec}`, messageOf(error), 'BAD_DATA');
  }
}
