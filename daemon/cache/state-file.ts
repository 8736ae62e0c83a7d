// The state file of a blob of the cache: which chunks its data file has, and their CRCs. Pure. What it says is
// a claim: a record may be on disk though its data is not, so that a chunk counts only after its CRC was
// checked. docs/formats.md has the layout.

import { chunksOf, CHUNK_SIZE } from '../blob/chunk-map.js';
import { u64le, TWO_32, viewOf } from '../lib/bytes.js';
import { sha256Digits, sha256Text } from '../lib/sha256.js';
import { crc32c } from '../native/crc32c.js';

/** Bytes of the header; the records follow it. */
export const STATE_HEADER_SIZE = 4096;
export const RECORD_SIZE = 8;

const MAGIC = Buffer.from('OBDCHUNK', 'latin1');
const VERSION = 1;
const DIGEST_SIZE = 32;
const NONCE_SIZE = 8;

// Byte offsets of the header's fields.
const AT_VERSION = 8;
const AT_CHUNK_SIZE = 12;
const AT_SIZE = 16;
const AT_DIGEST = 24;
const AT_NONCE = 56;
const AT_CRC = 64;

const ALL_ONES = 0xffff_ffff;

export interface StateHeader {
  readonly digest: string;
  /** Bytes of the blob. */
  readonly size: number;
  /** 16 hexadecimal digits, as in the names of the two files. */
  readonly nonce: string;
}

export function stateFileSize(size: number): number {
  return STATE_HEADER_SIZE + chunksOf(size) * RECORD_SIZE;
}

export function recordPosition(chunk: number): number {
  return STATE_HEADER_SIZE + chunk * RECORD_SIZE;
}

export function encodeHeader({ digest, size, nonce }: StateHeader): Buffer {
  const header = Buffer.alloc(STATE_HEADER_SIZE);
  const view = viewOf(header);
  MAGIC.copy(header);
  view.setUint32(AT_VERSION, VERSION, true);
  view.setUint32(AT_CHUNK_SIZE, CHUNK_SIZE, true);
  view.setUint32(AT_SIZE, size % TWO_32, true);
  view.setUint32(AT_SIZE + 4, Math.floor(size / TWO_32), true);
  header.write(sha256Digits(digest) ?? '', AT_DIGEST, 'hex');
  header.write(nonce, AT_NONCE, 'hex');
  view.setUint32(AT_CRC, headerCrc(header), true);
  return header;
}

/** @returns null if it is not a whole header of this version */
export function decodeHeader(bytes: Uint8Array): StateHeader | null {
  if (bytes.length < STATE_HEADER_SIZE) return null;
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, STATE_HEADER_SIZE);
  const view = viewOf(header);
  if (!header.subarray(0, MAGIC.length).equals(MAGIC)) return null;
  if (view.getUint32(AT_CRC, true) !== headerCrc(header)) return null;
  if (view.getUint32(AT_VERSION, true) !== VERSION) return null;
  if (view.getUint32(AT_CHUNK_SIZE, true) !== CHUNK_SIZE) return null;
  const size = u64le(view, AT_SIZE);
  if (!Number.isSafeInteger(size)) return null;
  return {
    digest: sha256Text(header.subarray(AT_DIGEST, AT_DIGEST + DIGEST_SIZE)),
    size,
    nonce: header.toString('hex', AT_NONCE, AT_NONCE + NONCE_SIZE),
  };
}

/** Over the whole header but the field itself. */
function headerCrc(header: Buffer): number {
  const crc = crc32c(header, 0, AT_CRC, ALL_ONES);
  const rest = AT_CRC + 4;
  return crc32c(header, rest, STATE_HEADER_SIZE - rest, crc);
}

/** Makes and checks the records of one pair of files. */
export class RecordFormat {
  readonly #mark: number;
  readonly #base: number;

  constructor({ digest, nonce }: Pick<StateHeader, 'digest' | 'nonce'>) {
    const bytes = Buffer.from(sha256Digits(digest) ?? '', 'hex');
    // Not 0, so that no record is 0, which says that there is none.
    this.#mark = Number.parseInt(nonce.slice(-8), 16) || 1;
    this.#base = crc32c(bytes, 0, bytes.length, ALL_ONES);
  }

  /**
   * What the CRC of a chunk starts from. It is never 0, because the CRC of zeros would be 0. It differs from
   * chunk to chunk and from blob to blob, so that a chunk at a wrong place does not match.
   */
  seed(chunk: number): number {
    const number = Buffer.alloc(4);
    number.writeUInt32LE(chunk);
    return crc32c(number, 0, number.length, this.#base) || 1;
  }

  /** @param crc of the chunk's bytes, from its seed on */
  encode(crc: number): Buffer {
    const record = Buffer.alloc(RECORD_SIZE);
    record.writeUInt32LE(crc);
    record.writeUInt32LE(this.#mark, 4);
    return record;
  }

  /** @returns the CRC that the bytes of a chunk must have; -1 if there is no record */
  decode(bytes: Uint8Array, at: number): number {
    return u32le(bytes, at + 4) === this.#mark ? u32le(bytes, at) : -1;
  }
}

/** Without a view of the bytes: a blob may have millions of records. */
function u32le(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  const high = (bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8);
  return low + high * 0x1_0000;
}
