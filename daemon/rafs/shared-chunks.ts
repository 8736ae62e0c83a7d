// The pieces of a blob with chunks that are stored together: parts of a tar.gz, or batches.

import { UNITS_A_WINDOW, type Effort } from '../lib/effort.js';
import { MAX_DECODED_BYTES, mostStored } from '../pieces/limits.js';
import { PieceTableBuilder, type BlockStarts, type PieceTable } from '../pieces/piece-table.js';
import { deflateWindow } from '../pieces/windows.js';
import type { Chunk } from './chunk-columns.js';
import type { BlobChunks } from './chunk-table.js';
import type { ChunkPlace, CompressionInfo, ZranContext } from './compression-info.js';

/** Where a block begins: its bits, and where its window is. */
const BLOCK_BYTES = 9;

/**
 * @param name of the blob, for messages
 * @param size its bytes
 * @throws OverlaybdError BAD_FORMAT, LIMIT, and what the effort throws
 */
export async function sharedPieces(
  chunks: BlobChunks,
  info: CompressionInfo,
  name: string,
  size: number,
  effort: Effort,
): Promise<PieceTable> {
  const builder = new PieceTableBuilder(name, effort, chunks.blob.hash);
  /** By where their members begin. */
  const contexts = new Map<number, ZranContext>();
  let windowBytes = 0;
  for (const chunk of chunks.all()) {
    builder.moveTo(chunk.offset);
    if (chunk.isHole) {
      builder.addZeros(chunk.length);
      continue;
    }
    const place = info.chunk(chunk.number);
    if (place.offset !== chunk.offset || place.length !== chunk.length) {
      const expected = `chunk ${chunk.number} at ${chunk.offset} with ${chunk.length} bytes, as in the chunk table`;
      throw chunks.bad(chunk, expected, `${place.offset} with ${place.length} bytes`);
    }
    if (place.context === null) {
      chunks.addAlone(builder, chunk, name, size);
      continue;
    }
    const { length, digest } = chunk;
    const common = { inner: place.inner, length, digest };
    if (chunks.blob.shared === 'batch') {
      const member = batchOf(chunks, info, chunk, place, size);
      builder.addStored({ ...common, ...member });
      continue;
    }
    const context = info.zran(place.context);
    check(chunks, chunk, { ...context, end: place.inner + length }, size);
    if (contexts.get(context.begin)?.stored !== context.stored) {
      contexts.set(context.begin, context);
      windowBytes += context.window.length;
      if (windowBytes > info.windowBytes) {
        const expected = `contexts with windows of at most ${info.windowBytes} bytes, as there are`;
        throw chunks.bad(chunk, expected, windowBytes);
      }
    }
    const { begin, stored } = context;
    builder.addStored({ ...common, codec: 'deflate', begin, stored });
  }
  const table = builder.finish(size);
  if (contexts.size === 0) return table;
  return { ...table, blocks: await blocksOf(table, contexts, name, effort) };
}

/** @throws OverlaybdError BAD_FORMAT */
function batchOf(
  chunks: BlobChunks,
  info: CompressionInfo,
  chunk: Chunk,
  { context, inner, begin }: ChunkPlace,
  size: number,
) {
  const { stored, plain } = info.batch(context ?? 0);
  check(chunks, chunk, { begin, stored, plain, end: inner + chunk.length }, size);
  const codec = stored === plain ? ('stored' as const) : chunks.blob.codec;
  return { codec, begin, stored, memberPlain: plain };
}

/** @throws OverlaybdError BAD_FORMAT if a chunk is not in what it is stored in, or that is not in the blob */
function check(
  chunks: BlobChunks,
  chunk: Chunk,
  { begin, stored, plain, end }: { begin: number; stored: number; plain: number; end: number },
  size: number,
): void {
  if (end > plain) throw chunks.bad(chunk, `a chunk that ends by ${plain} of its context`, end);
  if (stored === 0 || begin + stored > size) {
    const expected = `a context of at least one byte that ends by ${size}`;
    throw chunks.bad(chunk, expected, `${stored} bytes at ${begin}`);
  }
  // All of it is read to decode a chunk in it.
  const most = mostStored(Math.min(plain, MAX_DECODED_BYTES));
  if (stored > most) throw chunks.bad(chunk, `a context of at most ${most} stored bytes`, stored);
}

/** Where each member of the table begins in its stream. */
async function blocksOf(
  { begins, codecs }: PieceTable,
  contexts: ReadonlyMap<number, ZranContext>,
  name: string,
  effort: Effort,
): Promise<BlockStarts> {
  const count = codecs.length;
  effort.keep(BLOCK_BYTES * count, name);
  const bits = new Uint8Array(new SharedArrayBuffer(count));
  const windowBegins = new Float64Array(new SharedArrayBuffer(8 * (count + 1)));
  const windows: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    effort.spend(UNITS_A_WINDOW);
    await effort.turn();
    const context = contexts.get(begins[i] as number);
    const window = deflateWindow(context?.window ?? Buffer.alloc(0));
    effort.keep(window.length, name);
    bits[i] = context?.bits ?? 0;
    windows.push(window);
    windowBegins[i + 1] = (windowBegins[i] as number) + window.length;
  }
  const all = new Uint8Array(new SharedArrayBuffer(windowBegins[count] ?? 0));
  for (const [i, window] of windows.entries()) all.set(window, windowBegins[i]);
  return { bits, windowBegins, windows: all, skipped: 0 };
}
