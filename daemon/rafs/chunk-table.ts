// The chunk table of a bootstrap: where each chunk of a data blob is stored. Its records are in any order; files name
// a chunk by its blob and its place in the plain bytes.

import type { OverlaybdError } from '../errors.js';
import { hex32, u64le } from '../lib/bytes.js';
import type { TableEffort } from '../lib/counted-columns.js';
import { mostStored, MAX_PIECES } from '../pieces/limits.js';
import {
  DIGEST_SIZE,
  tableBytes,
  type PieceTable,
  type PieceTableBuilder,
} from '../pieces/piece-table.js';
import type { RafsBlob } from './blob-table.js';
import { CHUNK_BYTES, ChunkColumns, type Chunk, type ChunkPlace } from './chunk-columns.js';
import type { ImageBytes } from './image-bytes.js';
import { BLOCK, type RafsSuperblock } from './superblock.js';

const RECORD = 80;
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
  /** After the chunk that was looked up last: files are usually in the order of their chunks. */
  #next = 0;

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
    const low = this.#offsets[this.#next] === offset ? this.#next : this.#find(offset);
    if (this.#offsets[low] !== offset) return 0;
    this.#next = low + 1;
    return plainLength(this.#image, this.#records[low] as number);
  }

  /** The first chunk that does not begin before `offset`. */
  #find(offset: number): number {
    let low = 0;
    let high = this.#offsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#offsets[middle] as number) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
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
    const { bytes } = this.#image;
    for (let i = 0; i < length; i++) {
      const chunk = placeAt(this.#image, this.#records[i] as number);
      if (!chunk.isHole) this.#checkEnd(chunk, name, size);
      columns.add(chunk, bytes, chunk.isCompressed ? this.blob.codec : 'stored');
    }
    const twice = columns.beginOfTwo();
    if (twice === null) {
      const table = columns.finish();
      effort.keep(tableBytes(table) - length * CHUNK_BYTES, name);
      return table;
    }
    const at = this.#records.find((each) => placeAt(this.#image, each).begin === twice) ?? 0;
    const expected = 'another place than other chunks';
    throw this.#image.bad('chunk table', at + 48, expected, twice);
  }

  /** @throws OverlaybdError BAD_FORMAT if it is not in the blob */
  #checkEnd({ at, begin, stored }: ChunkPlace, name: string, size: number): void {
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
  if (!image.has(offset, size)) image.part('chunk table', offset, size);
  const counts = new Uint32Array(blobs.length);
  for (let at = offset; at < offset + size; at += RECORD) {
    const blob = checkRecord(image, at, chunkSize, blobs);
    counts[blob] = (counts[blob] as number) + 1;
  }
  const records = [...counts].map((count) => new Float64Array(count));
  counts.fill(0);
  for (let at = offset; at < offset + size; at += RECORD) {
    const blob = image.view.getUint32(at + 32, true);
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
  const { view } = image;
  const index = view.getUint32(at + 32, true);
  const blob = blobs[index];
  if (!blob) throw badRecord(image, at + 32, `a blob below ${blobs.length}`, index);
  const flags = view.getUint32(at + 36, true);
  if ((flags & ~KNOWN) !== 0) throw badRecord(image, at + 36, 'flags that are known', hex32(flags));
  if ((flags & FLAG_ENCRYPTED) !== 0) throw image.unsupported('encrypted chunks');
  if ((flags & FLAG_BATCH) !== 0 && blob.shared !== 'batch') {
    throw badRecord(image, at + 36, 'a batch in a blob that has some', hex32(flags));
  }
  const plain = plainLength(image, at);
  if (plain === 0 || plain > chunkSize) {
    throw badRecord(image, at + 44, `1 to ${chunkSize} plain bytes`, plain);
  }
  const offset = plainOffset(image, at);
  if (offset % BLOCK !== 0) throw badRecord(image, at + 56, `a multiple of ${BLOCK}`, offset);
  if (offset + plain > blob.plainSize) {
    throw badRecord(image, at + 56, `a chunk that ends by ${blob.plainSize}`, offset + plain);
  }
  if (blob.shared === null && (flags & FLAG_HOLE) === 0)
    checkStored(image, placeAt(image, at), blob);
  return index;
}

function badRecord(
  image: ImageBytes,
  at: number,
  expected: string,
  got: string | number,
): OverlaybdError {
  return image.bad('chunk table', at, expected, got);
}

/** @throws OverlaybdError BAD_FORMAT if a chunk cannot be stored by itself in this way */
function checkStored(
  image: ImageBytes,
  { at, isCompressed, length, stored }: ChunkPlace,
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

/** Of a record that is in the bootstrap, as all of the table are. */
function placeAt({ view }: ImageBytes, at: number): ChunkPlace {
  const flags = view.getUint32(at + 36, true);
  return {
    at,
    offset: u64le(view, at + 56),
    length: view.getUint32(at + 44, true),
    isHole: (flags & FLAG_HOLE) !== 0,
    isCompressed: (flags & FLAG_COMPRESSED) !== 0,
    begin: u64le(view, at + 48),
    stored: view.getUint32(at + 40, true),
  };
}

function chunkAt(image: ImageBytes, at: number): Chunk {
  return {
    ...placeAt(image, at),
    number: image.view.getUint32(at + 72, true),
    digest: image.bytes.subarray(at, at + DIGEST_SIZE),
  };
}

/**
 * Sorts records by the places of their chunks, if they are not in this order yet. A comparing function would have V8 make an object of
 * each number, so block numbers and the numbers of records are halves of integers that are compared as such. All machines that the
 * daemon runs on are little-endian.
 */
function inOrder(image: ImageBytes, records: Float64Array): Float64Array {
  if (isInOrder(image, records)) return records;
  const keys = new BigUint64Array(records.length);
  const halves = new Uint32Array(keys.buffer);
  for (let i = 0; i < records.length; i++) {
    halves[2 * i] = i;
    halves[2 * i + 1] = plainOffset(image, records[i] as number) / BLOCK;
  }
  keys.sort();
  return records.map((_, i) => records[halves[2 * i] as number] as number);
}

function isInOrder(image: ImageBytes, records: Float64Array): boolean {
  let last = 0;
  for (let i = 0; i < records.length; i++) {
    const offset = plainOffset(image, records[i] as number);
    if (offset < last) return false;
    last = offset;
  }
  return true;
}

function plainOffset({ view }: ImageBytes, at: number): number {
  return u64le(view, at + 56);
}

function plainLength({ view }: ImageBytes, at: number): number {
  return view.getUint32(at + 44, true);
}
