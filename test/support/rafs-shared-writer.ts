// Has the chunks of a written image of RAFS share what they are stored in, as the tools of Nydus do: as parts of a tar.gz (zran), or
// as batches that are compressed together.
import { createHash } from 'node:crypto';
import { gzipSync, inflateRawSync } from 'node:zlib';
import { indexGzip } from '../../daemon/inflate/index-gzip.js';
import { UNBOUNDED } from '../../daemon/lib/effort.js';
import { deflateAt } from '../../daemon/pieces/gzip-member.js';
import { CODECS } from '../../daemon/pieces/piece-table.js';
import { encodeBlock } from './encode-block.js';
import { MemorySource } from './memory-source.js';
import type { WrittenRafs } from './rafs-writer.js';

const BLOCK = 4096;
const HEADER = 4096;
const MAGIC = 0xb10bb10b;
const TAR_BLOCK = 512;

export interface SharedOptions {
  shared: 'zran' | 'batch';
  codec: 'lz4' | 'gzip' | 'zstd';
  /** Of the compression information. */
  infoCodec: 'none' | 'lz4' | 'gzip' | 'zstd';
  /** Plain bytes between two places from which a tar.gz can be inflated, and those of its gzip members. */
  spanSize?: number;
  memberSize?: number;
  /** Chunks of a batch. */
  perBatch?: number;
  /** The information is as a daemon of Nydus keeps it, under the name of the blob; zran only. */
  isKept?: boolean;
}

interface Stored {
  bytes: Buffer;
  /** An entry for each chunk. */
  entries: Buffer[];
  contexts: Buffer[];
  windows: Buffer[];
  /** Those that are stored by themselves. */
  alone: Map<number, { begin: number; stored: number }>;
}

/** @param written with chunks that are not compressed */
export async function shareChunks(
  written: WrittenRafs,
  options: SharedOptions,
): Promise<WrittenRafs> {
  const bootstrap = Buffer.from(written.bootstrap);
  const blobs = new Map<string, Buffer>();
  const count = bootstrap.readUInt16LE(1110);
  const recordBytes = bootstrap.readUInt32LE(1152 + 32);
  for (let i = 0; i < count; i++) {
    const entry = bootstrap.subarray(written.at.blobTable + 256 * i).subarray(0, 256);
    const id = entry.toString('latin1', 0, 64);
    const plain = written.blobs.get(id) as Buffer;
    const records: Buffer[] = [];
    for (let at = 0; at < recordBytes; at += 80) {
      const record = bootstrap.subarray(written.at.chunkTable + at).subarray(0, 80);
      if (record.readUInt32LE(32) === i) records.push(record);
    }
    records.sort((a, b) => Number(a.readBigUInt64LE(56) - b.readBigUInt64LE(56)));
    const pieces = records.map((record) => {
      const begin = Number(record.readBigUInt64LE(48));
      return plain.subarray(begin, begin + record.readUInt32LE(44));
    });
    const made =
      options.shared === 'zran' ? await zranOf(pieces, options) : batchesOf(pieces, options);
    for (const [n, record] of records.entries()) {
      const place = made.entries[n] as Buffer;
      place.writeUInt32LE(Number(record.readBigUInt64LE(56)) / BLOCK, 0);
      const alone = made.alone.get(n);
      record.writeUInt32LE(options.shared === 'batch' && !alone ? 9 : 1, 36);
      record.writeUInt32LE(alone?.stored ?? 0, 40);
      record.writeBigUInt64LE(BigInt(alone?.begin ?? 0), 48);
      record.writeUInt32LE(n, 72);
    }
    finish(entry, bootstrap.subarray(1408 + 128 * i), made, options, blobs);
  }
  return { ...written, bootstrap, blobs };
}

function finish(
  entry: Buffer,
  slot: Buffer,
  { bytes, entries, contexts, windows }: Stored,
  { shared, codec, infoCodec, isKept = false }: SharedOptions,
  blobs: Map<string, Buffer>,
): void {
  const plain = Buffer.concat([...entries, ...contexts, ...windows]);
  const stored = infoCodec === 'none' || plain.length === 0 ? plain : encoded(plain, infoCodec);
  const offset = shared === 'zran' ? 0 : bytes.length;
  const features = shared === 'zran' ? 1 | 4 | 8 | 0x10 : 1 | 4 | 0x80;
  const numbers = { none: 0, lz4: 1, gzip: 2, zstd: 3 };
  const header = Buffer.alloc(HEADER);
  for (const at of [0, HEADER - 4]) header.writeUInt32LE(MAGIC, at);
  header.writeUInt32LE(features, 4);
  header.writeUInt32LE(numbers[infoCodec], 8);
  header.writeUInt32LE(entries.length, 12);
  const sizes = [offset, stored.length, plain.length, 24 * entries.length];
  for (const [i, size] of sizes.entries()) header.writeBigUInt64LE(BigInt(size), 16 + 8 * i);
  header.writeBigUInt64LE(BigInt(plain.length - 24 * entries.length), 48);
  header.writeUInt32LE(contexts.length, 56);
  const info = Buffer.concat([stored, header]);
  const data = shared === 'zran' ? bytes : Buffer.concat([bytes, info]);
  const id = sha256(data);
  blobs.set(id, data);
  for (const place of [entry, slot]) place.write(id, 0, 'latin1');
  entry.writeUInt32LE(entries.length, 72);
  entry.writeUInt32LE(shared === 'zran' ? numbers.gzip : numbers[codec], 76);
  entry.writeUInt32LE(features, 84);
  entry.writeBigUInt64LE(BigInt(data.length), 88);
  entry.writeUInt32LE(numbers[infoCodec], 108);
  for (const [i, size] of sizes.slice(0, 3).entries()) {
    entry.writeBigUInt64LE(BigInt(size), 112 + 8 * i);
  }
  if (shared !== 'zran') return;
  if (isKept) {
    const rest = Buffer.alloc(-plain.length & (BLOCK - 1));
    blobs.set(`${id}.blob.meta`, Buffer.concat([plain, rest, header]));
    return;
  }
  entry.write(sha256(info), 168, 'hex');
  entry.writeBigUInt64LE(BigInt(info.length), 200);
  blobs.set(sha256(info), info);
}

async function zranOf(
  pieces: readonly Buffer[],
  { spanSize = 10_000, memberSize = Infinity }: SharedOptions,
): Promise<Stored> {
  const places: number[] = [];
  const parts: Buffer[] = [];
  let at = 0;
  for (const piece of pieces) {
    // As in a tar: a header, the contents, and zeros.
    places.push(at + TAR_BLOCK);
    const padding = Buffer.alloc(-piece.length & (TAR_BLOCK - 1));
    parts.push(Buffer.alloc(TAR_BLOCK, 'header'), piece, padding);
    at += TAR_BLOCK + piece.length + padding.length;
  }
  const archive = Buffer.concat([...parts, Buffer.alloc(2 * TAR_BLOCK)]);
  const members: Buffer[] = [];
  for (let from = 0; from < archive.length; from += memberSize) {
    members.push(gzipSync(archive.subarray(from, from + memberSize), { memLevel: 1 }));
    if (memberSize === Infinity) break;
  }
  const bytes = Buffer.concat(members);
  const source = new MemorySource(bytes, 'layer.tar.gz');
  const table = await indexGzip(source, UNBOUNDED, () => undefined, spanSize);
  const { begins, codecs, positions, lengths, blocks, count } = table;
  const spans = Array.from({ length: count }, (_, i) => {
    const begin = begins[i] as number;
    const isMember = CODECS[codecs[i] as number] === 'gzip';
    const bits = isMember ? 0 : (blocks?.bits[i] ?? 0);
    const window = blocks?.windows.subarray(blocks.windowBegins[i], blocks.windowBegins[i + 1]);
    return {
      first: isMember
        ? begin + (deflateAt(bytes.subarray(begin)) ?? 0)
        : begin + (bits > 0 ? 1 : 0),
      bits,
      plain: positions[i] as number,
      plainEnd: (positions[i] as number) + (lengths[i] as number),
      window: window && window.length > 0 ? inflateRawSync(window) : Buffer.alloc(0),
    };
  });
  // Each chunk is in one context: that goes on until the end of the last chunk that begins in it.
  const of = places.map((place) => spans.findLastIndex(({ plain }) => plain <= place));
  const contexts: Buffer[] = [];
  const windows: Buffer[] = [];
  let windowAt = 0;
  for (const [i, span] of spans.entries()) {
    const ends = places.flatMap((place, n) =>
      of[n] === i ? place + (pieces[n] as Buffer).length : [],
    );
    const end = Math.max(span.plainEnd, ...ends);
    const last = spans.findIndex(({ plainEnd }) => plainEnd >= end);
    const storedEnd = spans[last + 1]?.first ?? bytes.length;
    const context = Buffer.alloc(40);
    context.writeBigUInt64LE(BigInt(span.first), 0);
    context.writeBigUInt64LE(BigInt(span.plain), 8);
    context.writeBigUInt64LE(BigInt(windowAt), 16);
    context.writeUInt32LE(storedEnd - span.first, 24);
    context.writeUInt32LE(end - span.plain, 28);
    context.writeUInt32LE(span.window.length, 32);
    context[36] = bytes[span.first - 1] as number;
    context[37] = span.bits;
    contexts.push(context);
    windows.push(span.window);
    windowAt += span.window.length;
  }
  const entries = pieces.map((piece, n) => {
    const context = of[n] as number;
    const inner = (places[n] as number) - (spans[context]?.plain ?? 0);
    return entryOf(piece.length, 3, spans[context]?.first ?? 0, context, inner);
  });
  return { bytes, entries, contexts, windows, alone: new Map() };
}

function batchesOf(pieces: readonly Buffer[], { codec, perBatch = 3 }: SharedOptions): Stored {
  const parts: Buffer[] = [];
  const entries: Buffer[] = [];
  const contexts: Buffer[] = [];
  const alone: Stored['alone'] = new Map();
  let begin = 0;
  const add = (bytes: Buffer): void => {
    parts.push(bytes);
    begin += bytes.length;
  };
  for (let at = 0; at < pieces.length; at += perBatch) {
    const batch = pieces.slice(at, at + perBatch);
    const plain = Buffer.concat(batch);
    const shrunk = encoded(plain, codec);
    if (batch.length === 1 && shrunk.length < plain.length) {
      // A long chunk is by itself.
      alone.set(at, { begin, stored: shrunk.length });
      entries.push(entryOf(plain.length, 1, begin, 0, 0));
      add(shrunk);
      continue;
    }
    const stored = shrunk.length < plain.length ? shrunk : plain;
    const context = Buffer.alloc(40);
    context.writeUInt32LE(stored.length, 0);
    context.writeUInt32LE(plain.length, 4);
    let inner = 0;
    for (const piece of batch) {
      entries.push(entryOf(piece.length, 5, begin, contexts.length, inner));
      inner += piece.length;
    }
    contexts.push(context);
    add(stored);
  }
  return { bytes: Buffer.concat(parts), entries, contexts, windows: [], alone };
}

function entryOf(
  length: number,
  flags: number,
  begin: number,
  context: number,
  inner: number,
): Buffer {
  const entry = Buffer.alloc(24);
  entry.writeUInt32LE((length - 1 + flags * 2 ** 24) >>> 0, 4);
  entry.writeUInt32LE(begin, 8);
  entry.writeUInt32LE(inner, 16);
  entry.writeUInt32LE(context, 20);
  return entry;
}

function encoded(bytes: Buffer, codec: 'lz4' | 'gzip' | 'zstd'): Buffer {
  return codec === 'gzip' ? gzipSync(bytes) : encodeBlock(codec, bytes);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
