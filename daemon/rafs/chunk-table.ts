// The chunk table of a bootstrap: where each chunk of a data blob is stored. Its records are in any order; files name
// a chunk by its blob and its place in the plain bytes.

import type { OverlaybdError } from '../errors.js';
import { hex32 } from '../lib/bytes.js';
import type { TableEffort } from '../lib/counted-columns.js';
import { mostStored, MAX_PIECES } from '../pieces/limits.js';
import { tableBytes, type PieceTable, type PieceTableBuilder } from '../pieces/piece-table.js';
import type { RafsBlob } from './blob-table.js';
import { CHUNK_BYTES, ChunkColumns, type Chunk } from './chunk-columns.js';
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

  /**
   * @param records byte offsets of its records in the bootstrap, in any order
   * @throws OverlaybdError BAD_FORMAT if chunks overlap
   */
  constructor(image: ImageBytes, blob: RafsBlob, records: Float64Array) {
    this.blob = blob;
    this.#image = image;
    this.#records = inOrder(image, records);
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

  /** All of them, in their order. */
  *all(): Generator<Chunk> {
    for (const at of this.#records) yield chunkAt(this.#image, at);
  }

  /** The error of a chunk. */
  bad({ at }: Chunk, expected: string, got: string | number): OverlaybdError {
    return this.#image.bad('chunk table', at, expected, got);
  }

  /**
   * How the plain bytes are read from the blob, if each chunk is stored by itself.
   * @param name of the blob, for messages
   * @param size bytes of the blob as it is here
   * @param effort counts the memory of the table
   * @throws OverlaybdError BAD_FORMAT, LIMIT
   */
  pieces(name: string, size: number, effort: TableEffort): PieceTable {
    // No builder here: it would make an object for each chunk. There may be millions, and the opener's heap is small.
    const { length } = this.#records;
    effort.keep(length * CHUNK_BYTES, name);
    const columns = new ChunkColumns(length, this.blob.hash);
    for (const at of this.#records) {
      const chunk = chunkAt(this.#image, at);
      if (!chunk.isHole) this.#checkEnd(chunk, name, size);
      columns.add(chunk, chunk.isCompressed ? this.blob.codec : 'stored');
    }
    const twice = columns.beginOfTwo();
    if (twice === null) {
      const table = columns.finish();
      effort.keep(tableBytes(table) - length * CHUNK_BYTES, name);
      return table;
    }
    const at = this.#records.find((each) => chunkAt(this.#image, each).begin === twice) ?? 0;
    const expected = 'another place than other chunks';
    throw this.#image.bad('chunk table', at + 48, expected, twice);
  }

  /** @throws OverlaybdError BAD_FORMAT if it is not in the blob */
  #checkEnd({ at, begin, stored }: Chunk, name: string, size: number): void {
    if (begin + stored <= size) return;
    const expected = `a chunk that ends by ${size}, the end of ${name}`;
    throw this.#image.bad('chunk table', at + 48, expected, begin + stored);
  }

  /** Adds a chunk that is stored by itself. @throws OverlaybdError BAD_FORMAT, LIMIT */
  addAlone(builder: PieceTableBuilder, chunk: Chunk, name: string, size: number): void {
    const { begin, stored, length, digest } = chunk;
    this.#checkEnd(chunk, name, size);
    const codec = chunk.isCompressed ? this.blob.codec : 'stored';
    checkStored(this.#image, chunk, this.blob);
    builder.addStored({ codec, begin, inner: 0, length, digest, stored });
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
  const counts = new Uint32Array(blobs.length);
  for (let at = offset; at < offset + size; at += RECORD) {
    const blob = checkRecord(image, at, chunkSize, blobs);
    counts[blob] = (counts[blob] as number) + 1;
  }
  const records = [...counts].map((count) => new Float64Array(count));
  counts.fill(0);
  for (let at = offset; at < offset + size; at += RECORD) {
    const blob = image.bytes.readUInt32LE(at + 32);
    const n = counts[blob] as number;
    (records[blob] as Float64Array)[n] = at;
    counts[blob] = n + 1;
  }
  return blobs.map((blob, i) => new BlobChunks(image, blob, records[i] as Float64Array));
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
  if ((flags & FLAG_BATCH) !== 0 && blob.shared !== 'batch') {
    throw bad(36, 'a batch in a blob that has some', hex32(flags));
  }
  const plain = record.readUInt32LE(44);
  if (plain === 0 || plain > chunkSize) throw bad(44, `1 to ${chunkSize} plain bytes`, plain);
  const offset = u64(record, 56);
  if (offset % BLOCK !== 0) throw bad(56, `a multiple of ${BLOCK}`, offset);
  if (offset + plain > blob.plainSize) {
    throw bad(56, `a chunk that ends by ${blob.plainSize}`, offset + plain);
  }
  if (blob.shared === null && (flags & FLAG_HOLE) === 0)
    checkStored(image, chunkAt(image, at), blob);
  return index;
}

/** @throws OverlaybdError BAD_FORMAT if a chunk cannot be stored by itself in this way */
function checkStored(
  image: ImageBytes,
  { at, isCompressed, length, stored }: Chunk,
  { codec }: RafsBlob,
): void {
  if (isCompressed && codec === 'stored') {
    throw image.bad('chunk table', at + 36, 'a chunk that is not compressed', 'one that is');
  }
  if (!isCompressed && stored !== length) {
    throw image.bad('chunk table', at + 40, `${length} stored bytes`, stored);
  }
  if (stored === 0 || stored > mostStored(length)) {
    throw image.bad('chunk table', at + 40, `1 to ${mostStored(length)} stored bytes`, stored);
  }
}

function chunkAt(image: ImageBytes, at: number): Chunk {
  const record = image.part('chunk table', at, RECORD);
  const flags = record.readUInt32LE(36);
  return {
    at,
    number: record.readUInt32LE(72),
    offset: u64(record, 56),
    length: record.readUInt32LE(44),
    isHole: (flags & FLAG_HOLE) !== 0,
    isCompressed: (flags & FLAG_COMPRESSED) !== 0,
    digest: record.subarray(0, DIGEST),
    begin: u64(record, 48),
    stored: record.readUInt32LE(40),
  };
}

/**
 * Sorts records by the places of their chunks. A comparing function would have V8 make an object of each number, so block
 * numbers and the numbers of records are halves of integers that are compared as such. All machines that the daemon runs on are little-endian.
 */
function inOrder(image: ImageBytes, records: Float64Array): Float64Array {
  const keys = new BigUint64Array(records.length);
  const halves = new Uint32Array(keys.buffer);
  for (const [i, at] of records.entries()) {
    halves[2 * i] = i;
    halves[2 * i + 1] = plainOffset(image, at) / BLOCK;
  }
  keys.sort();
  return records.map((_, i) => records[halves[2 * i] as number] as number);
}

function plainOffset(image: ImageBytes, at: number): number {
  return u64(image.bytes, at + 56);
}

function plainLength(image: ImageBytes, at: number): number {
  return image.bytes.readUInt32LE(at + 44);
}
