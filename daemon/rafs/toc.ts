// The table of contents at the end of a data blob: what else is in the blob, besides chunks. Written by Nydus since 2.2,
// as an archive backwards: each part is followed by its tar header, and the last part is the table.

import { readFully, type BlobSource } from '../blob/source.js';
import { formatError } from '../errors.js';
import { DECODED_BYTES_A_UNIT, type Effort } from '../lib/effort.js';
import { sha256Of, sha256Text } from '../lib/sha256.js';
import type { PieceCodec } from '../pieces/piece-table.js';
import { decodePart, type Decoders } from './decode-part.js';
import { u64 } from './image-bytes.js';
import { MAX_BOOTSTRAP_BYTES, MAX_TOC_ENTRIES } from './limits.js';
import { TOC_TAIL_SIZE } from './signs.js';

const ENTRY = 128;
const SIZE_AT = 124;
const SIZE_DIGITS = 11;
const CODECS: ReadonlyMap<number, PieceCodec> = new Map([
  [1, 'stored'],
  [2, 'zstd'],
  [4, 'lz4'],
]);

export interface TocEntry {
  readonly name: string;
  readonly flags: number;
  /** SHA-256 of the plain bytes. */
  readonly digest: Buffer;
  readonly offset: number;
  readonly stored: number;
  readonly plain: number;
}

/** @throws OverlaybdError BAD_FORMAT, LIMIT, and what reading throws */
export async function readToc(source: BlobSource): Promise<TocEntry[]> {
  const { name: blob } = source;
  const headerAt = source.size - TOC_TAIL_SIZE;
  const header = await readFully(source, headerAt, TOC_TAIL_SIZE);
  const digits = header.toString('latin1', SIZE_AT, SIZE_AT + SIZE_DIGITS);
  const size = /^[0-7]+$/.test(digits) ? parseInt(digits, 8) : -1;
  const section = 'table of contents';
  if (size < 0 || size % ENTRY !== 0 || size > headerAt) {
    const expected = `entries of ${ENTRY} bytes in front of it`;
    throw formatError({ blob, section, offset: headerAt + SIZE_AT, expected, got: size });
  }
  if (size / ENTRY > MAX_TOC_ENTRIES) {
    const expected = `at most ${MAX_TOC_ENTRIES} entries`;
    const offset = headerAt + SIZE_AT;
    throw formatError({ blob, section, offset, expected, got: size / ENTRY, code: 'LIMIT' });
  }
  const begin = headerAt - size;
  const bytes = await readFully(source, begin, size);
  return Array.from({ length: size / ENTRY }, (_, i) => {
    const entry = bytes.subarray(i * ENTRY, (i + 1) * ENTRY);
    return {
      name: entry.toString('latin1', 8, 24).replace(/\0+$/, ''),
      flags: entry.readUInt32LE(0),
      digest: entry.subarray(24, 56),
      offset: u64(entry, 56),
      stored: u64(entry, 64),
      plain: u64(entry, 72),
    };
  });
}

/**
 * Reads a part of the blob and verifies it.
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, LIMIT, and what reading and the effort throw
 */
export async function readPart(
  source: BlobSource,
  { name, flags, digest, offset, stored, plain }: TocEntry,
  decoders: Decoders,
  effort: Effort,
): Promise<Buffer> {
  const place = { blob: source.name, section: name, offset: Math.min(offset, source.size) };
  if (offset + stored > source.size) {
    const expected = `a part that ends by ${source.size}`;
    throw formatError({ ...place, expected, got: offset + stored });
  }
  if (plain > MAX_BOOTSTRAP_BYTES || stored > MAX_BOOTSTRAP_BYTES) {
    const expected = `at most ${MAX_BOOTSTRAP_BYTES} bytes`;
    throw formatError({ ...place, expected, got: Math.max(plain, stored), code: 'LIMIT' });
  }
  // Decoders need room for at least one byte.
  if (plain === 0) throw formatError({ ...place, expected: 'at least one byte', got: plain });
  effort.spend(Math.ceil((stored + plain) / DECODED_BYTES_A_UNIT));
  const bytes = await readFully(source, offset, stored);
  const codec = CODECS.get(flags);
  const decoded = codec ? decodePart(bytes, plain, codec, decoders) : null;
  if (!decoded) {
    const expected = `${plain} bytes, stored plain, as zstd or as LZ4`;
    throw formatError({ ...place, expected, got: 'something else', code: 'BAD_DATA' });
  }
  const got = sha256Of(decoded);
  const wanted = sha256Text(digest);
  if (got === wanted) return decoded;
  throw formatError({ ...place, expected: `the digest ${wanted}`, got, code: 'BAD_CHECKSUM' });
}
