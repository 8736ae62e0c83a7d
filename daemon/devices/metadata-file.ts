// The file beside the record of a device that has what the device was made of, if the daemon made it of layers of files:
// the metadata and the rows of image/recorded-tree.ts.
//
//   8 bytes              "OBNTREE1"
//   u32                  bytes of the header
//   header               JSON: sizes and what the layers must be
//   deflated             metadata, then four columns of rows
//   32 bytes             SHA-256 of all bytes before
//
// Numbers are little-endian.

import { createHash, type Hash } from 'node:crypto';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createDeflateRaw, createInflateRaw } from 'node:zlib';
import * as v from 'valibot';
import { parseWith } from '../config/parse.js';
import { OverlaybdError, messageOf } from '../errors.js';
import type { RecordedTree } from '../image/recorded-tree.js';
import { strictObject, stringOf, wholeNumber } from '../lib/schema.js';
import { readStateBytes, replaceStateFileWith } from './state-file.js';

const MAGIC = Buffer.from('OBNTREE1');
const DIGEST = 32;
/**
 * Bytes of metadata and rows before they are deflated: a tree of two million files stays below.
 * @internal for its unit test
 */
export const MAX_RECORDED_BYTES = 256 << 20;
/** Bytes of the header: 255 content sources, 200 bytes each. */
const MAX_HEADER_BYTES = 64 << 10;
/** Bytes that are deflated, inflated or hashed between two turns of other work. */
const STEP = 1 << 20;
/** The fastest: most of it is zeros and repeats. */
const LEVEL = 1;
/** Bytes of a row: first sector, sectors, first sector in the source as doubles; a byte for the source. */
const ROW = 3 * 8 + 1;

const headerSchema = strictObject({
  version: v.literal(1),
  identity: stringOf('64 hexadecimal digits', /^[0-9a-f]{64}$/),
  sources: v.array(
    strictObject({
      size: wholeNumber(0),
      places: stringOf('a digest or none', /^([0-9a-f]{64})?$/),
      content: stringOf('a digest or none', /^([0-9a-f]{64})?$/),
    }),
  ),
  deviceSize: wholeNumber(0),
  rows: wholeNumber(0),
  metadata: wholeNumber(0),
});

/**
 * Writes the file of a device. After a crash there is all of it, or none.
 * @throws OverlaybdError LIMIT, NOT_FOUND, IO
 */
export async function writeMetadataFile(path: string, tree: RecordedTree): Promise<void> {
  const { metadata, rows, ...others } = tree;
  const bytes = metadata.byteLength + ROW * rows.count;
  if (bytes > MAX_RECORDED_BYTES) {
    throw new OverlaybdError('LIMIT', `${bytes} bytes, at most ${MAX_RECORDED_BYTES} are kept`);
  }
  const fields = { version: 1, ...others, rows: rows.count, metadata: metadata.byteLength };
  await replaceStateFileWith(path, fileBytes(Buffer.from(JSON.stringify(fields)), tree));
}

async function* fileBytes(header: Buffer, tree: RecordedTree): AsyncGenerator<Uint8Array> {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  const begin = Buffer.concat([MAGIC, length, header]);
  yield begin;
  const hash = createHash('sha256').update(begin);
  const deflated = Readable.from(plainSteps(tree)).pipe(createDeflateRaw({ level: LEVEL }));
  for await (const each of deflated) {
    hash.update(each as Buffer);
    yield each as Buffer;
  }
  yield hash.digest();
}

function* plainSteps({ metadata, rows }: RecordedTree): Generator<Uint8Array> {
  const columns = [rows.sectors, rows.lengths, rows.moffsets, rows.sources];
  for (const column of [new Uint8Array(metadata), ...columns.map(bytesOf)]) {
    for (let at = 0; at < column.length; at += STEP) yield column.subarray(at, at + STEP);
  }
}

function bytesOf(column: Float64Array | Uint8Array): Uint8Array {
  return new Uint8Array(column.buffer, column.byteOffset, column.byteLength);
}

/**
 * Reads the file of a device. What it says is checked to be of its form, and not yet to fit the image.
 * @param digest the SHA-256 in hexadecimal that the metadata must have
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, LIMIT, NOT_FOUND, IO
 */
export async function readMetadataFile(path: string, digest: string): Promise<RecordedTree> {
  const bytes = readStateBytes(path, MAX_RECORDED_BYTES);
  const bodyAt = MAGIC.length + 4;
  const isWhole = bytes.length >= bodyAt + DIGEST && bytes.subarray(0, MAGIC.length).equals(MAGIC);
  const headerLength = isWhole ? bytes.readUInt32LE(MAGIC.length) : 0;
  const deflatedAt = bodyAt + headerLength;
  if (!isWhole || headerLength > MAX_HEADER_BYTES || deflatedAt + DIGEST > bytes.length) {
    throw new OverlaybdError('BAD_FORMAT', `${path}: not a file of recorded metadata`);
  }
  const got = await digestOf(bytes.subarray(0, -DIGEST));
  if (!got.equals(bytes.subarray(-DIGEST))) {
    throw new OverlaybdError('BAD_CHECKSUM', `${path}: its bytes do not match their checksum`);
  }
  const header = bytes.subarray(bodyAt, deflatedAt);
  const fields = parseWith(headerSchema, header.toString('utf8'), path);
  const size = fields.metadata + ROW * fields.rows;
  if (size > MAX_RECORDED_BYTES) {
    const text = `${path}: ${size} bytes of recorded metadata, at most ${MAX_RECORDED_BYTES} are read`;
    throw new OverlaybdError('LIMIT', text);
  }
  const metadata = new SharedArrayBuffer(fields.metadata);
  const rows = new Uint8Array(ROW * fields.rows);
  const hash = createHash('sha256');
  const deflated = bytes.subarray(deflatedAt, -DIGEST);
  await inflateInto([new Uint8Array(metadata), rows], hash, deflated, path);
  const metadataDigest = hash.digest('hex');
  if (metadataDigest !== digest) {
    const text = `${path}: expected metadata with the digest sha256:${digest}, got sha256:${metadataDigest}`;
    throw new OverlaybdError('BAD_CHECKSUM', text);
  }
  const { identity, sources, deviceSize, rows: count } = fields;
  return { identity, sources, deviceSize, rows: rowsIn(rows, count), metadata };
}

/** SHA-256, with turns of other work between: the file of a large tree takes a second. */
async function digestOf(bytes: Buffer): Promise<Buffer> {
  const hash = createHash('sha256');
  for (let at = 0; at < bytes.length; at += STEP) {
    hash.update(bytes.subarray(at, at + STEP));
    await nextTurn();
  }
  return hash.digest();
}

/**
 * @param parts that are filled one after another
 * @param hash of the first
 * @throws OverlaybdError BAD_FORMAT unless it inflates to as many bytes
 */
async function inflateInto(
  parts: readonly [Uint8Array, Uint8Array],
  hash: Hash,
  bytes: Buffer,
  path: string,
): Promise<void> {
  const [first, second] = parts;
  const size = first.length + second.length;
  let length = 0;
  try {
    const inflate = createInflateRaw({ chunkSize: STEP });
    inflate.end(bytes);
    for await (const each of inflate) {
      const plain = each as Buffer;
      if (length + plain.length > size) throw new RangeError(`more than ${size} bytes`);
      const ofFirst = plain.subarray(0, Math.max(0, first.length - length));
      first.set(ofFirst, Math.min(length, first.length));
      hash.update(ofFirst);
      const ofSecond = plain.subarray(ofFirst.length);
      second.set(ofSecond, Math.max(0, length - first.length));
      length += plain.length;
    }
    if (length < size) throw new RangeError(`expected ${size} bytes, got ${length}`);
  } catch (error) {
    const text = `${path}: its recorded metadata cannot be inflated: ${messageOf(error)}`;
    throw new OverlaybdError('BAD_FORMAT', text, { cause: error });
  }
}

/** @param bytes at the beginning of their memory, because columns of doubles begin at multiples of 8 */
function rowsIn(bytes: Uint8Array, count: number): RecordedTree['rows'] {
  const doubles = (column: number): Float64Array =>
    new Float64Array(bytes.buffer, 8 * column * count, count);
  const sources = bytes.subarray(3 * 8 * count);
  return { count, sectors: doubles(0), lengths: doubles(1), moffsets: doubles(2), sources };
}
