// The chunk table of a bootstrap: where each chunk of a data blob is stored. Its records are in any order; files name
// a chunk by its blob and its place in the plain bytes.

import type { OverlaybdError } from '../errors.js';
import { hex32 } from '../lib/bytes.js';
import { mostStored, MAX_PIECES } from '../pieces/limits.js';
import { PieceTableBuilder, type PieceTable } from '../pieces/piece-table.js';
import type { RafsBlob } from './blob-table.js';
import { u64, type ImageBytes } from './image-bytes.js';
import { BLOCK, type RafsSuperblock } from './superblock.js';

const RECORD = 80;
const DIGEST = 32;
const FLAG_COMPRESSED = 1;
const FLAG_HOLE = 2;
const FLAG_ENCRYPTED = 4;
const FLAG_BATCH = 8;
const FLAG_CRC = 0x10;
const KNOWN = FLAG_COMPRESSED | FLAG_HOLE | FLAG_ENCRYPTED | FLAG_BATCH | FLAG_CRC;

/** The chunks of one blob, by their places in its plain bytes. */
export class BlobChunks {
  readonly blob: RafsBlob;
  readonly #image: ImageBytes;
  /** Byte offsets of records in the bootstrap, in the order of their chunks. */
  readonly #records: Float64Array;
  readonly #offsets: Float64Array;

  /** @throws OverlaybdError BAD_FORMAT if chunks overlap */
  constructor(image: ImageBytes, blob: RafsBlob, records: number[]) {
    this.blob = blob;
    this.#image = image;
    records.sort((a, b) => plainOffset(image, a) - plainOffset(image, b));
    this.#records = Float64Array.from(records);
    this.#offsets = this.#records.map((at) => plainOffset(image, at));
    for (let i = 1; i < records.length; i++) {
      const at = this.#records[i] as number;
      const before = this.#offsets[i - 1] as number;
      const end = before + plainLength(image, this.#records[i - 1] as number);
      if ((this.#offsets[i] as number) >= end) continue;
      const expected = `a chunk from byte ${end} on, after the one at ${before}`;
      throw image.bad('chunk table', at + 56, expected, this.#offsets[i] as number);
    }
  }

  /** The plain bytes of the chunk at this place; 0 if there is none. */
  lengthAt(offset: number): number {
    let low = 0;
    let high = this.#offsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#offsets[middle] as number) < offset) low = middle + 1;
      else high = middle;
    }
    if (this.#offsets[low] !== offset) return 0;
    return plainLength(this.#image, this.#records[low] as number);
  }

  /**
   * How the plain bytes are read from the blob.
   * @param name of the blob, for messages
   * @param size bytes of the blob as it is here
   * @throws OverlaybdError BAD_FORMAT, LIMIT
   */
  pieces(name: string, size: number): PieceTable {
    const { blob } = this;
    const builder = new PieceTableBuilder(name, blob.hash);
    const begins = new Set<number>();
    for (const [i, at] of this.#records.entries()) {
      const record = this.#image.part('chunk table', at, RECORD);
      const length = record.readUInt32LE(44);
      builder.moveTo(this.#offsets[i] as number);
      const flags = record.readUInt32LE(36);
      if ((flags & FLAG_HOLE) !== 0) {
        builder.addZeros(length);
        continue;
      }
      const begin = u64(record, 48);
      const stored = record.readUInt32LE(40);
      if (begin + stored > size) {
        const expected = `a chunk that ends by ${size}, the end of ${name}`;
        throw this.#image.bad('chunk table', at + 48, expected, begin + stored);
      }
      if (begins.has(begin)) {
        throw this.#image.bad('chunk table', at + 48, 'another place than other chunks', begin);
      }
      begins.add(begin);
      const codec = (flags & FLAG_COMPRESSED) === 0 ? 'stored' : blob.codec;
      const digest = record.subarray(0, DIGEST);
      builder.addStored({ codec, begin, inner: 0, length, digest, stored });
    }
    return builder.finish(size);
  }
}

/**
 * @returns the chunks of each blob
 * @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED
 */
export function readChunkTable(
  image: ImageBytes,
  { chunks, chunkSize }: RafsSuperblock,
  blobs: readonly RafsBlob[],
): BlobChunks[] {
  const { offset, size } = chunks;
  if (size % RECORD !== 0) {
    throw image.bad('chunk table', offset, `records of ${RECORD} bytes`, `${size} bytes`);
  }
  if (size / RECORD > MAX_PIECES) {
    throw image.bad('chunk table', offset, `at most ${MAX_PIECES} chunks`, size / RECORD, 'LIMIT');
  }
  const records = blobs.map((): number[] => []);
  for (let at = offset; at < offset + size; at += RECORD) {
    records[checkRecord(image, at, chunkSize, blobs)]?.push(at);
  }
  return blobs.map((blob, i) => new BlobChunks(image, blob, records[i] as number[]));
}

/** @returns the number of its blob */
function checkRecord(
  image: ImageBytes,
  at: number,
  chunkSize: number,
  blobs: readonly RafsBlob[],
): number {
  const record = image.part('chunk table', at, RECORD);
  const bad = (field: number, expected: string, got: string | number): OverlaybdError =>
    image.bad('chunk table', at + field, expected, got);
  const index = record.readUInt32LE(32);
  const blob = blobs[index];
  if (!blob) throw bad(32, `a blob below ${blobs.length}`, index);
  const flags = record.readUInt32LE(36);
  if ((flags & ~KNOWN) !== 0) throw bad(36, 'flags that are known', hex32(flags));
  if ((flags & FLAG_ENCRYPTED) !== 0) throw image.unsupported('encrypted chunks');
  if ((flags & FLAG_BATCH) !== 0) throw image.unsupported('chunks in batches');
  const stored = record.readUInt32LE(40);
  const plain = record.readUInt32LE(44);
  if (plain === 0 || plain > chunkSize) throw bad(44, `1 to ${chunkSize} plain bytes`, plain);
  const offset = u64(record, 56);
  if (offset % BLOCK !== 0) throw bad(56, `a multiple of ${BLOCK}`, offset);
  if (offset + plain > blob.plainSize) {
    throw bad(56, `a chunk that ends by ${blob.plainSize}`, offset + plain);
  }
  if ((flags & FLAG_HOLE) !== 0) return index;
  const isCompressed = (flags & FLAG_COMPRESSED) !== 0;
  if (isCompressed && blob.codec === 'stored')
    throw bad(36, 'a chunk that is not compressed', flags);
  if (!isCompressed && stored !== plain) throw bad(40, `${plain} stored bytes`, stored);
  if (stored === 0 || stored > mostStored(plain)) {
    throw bad(40, `1 to ${mostStored(plain)} stored bytes`, stored);
  }
  return index;
}

function plainOffset(image: ImageBytes, at: number): number {
  return u64(image.bytes, at + 56);
}

function plainLength(image: ImageBytes, at: number): number {
  return image.bytes.readUInt32LE(at + 44);
}
