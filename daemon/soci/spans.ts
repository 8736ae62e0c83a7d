// The spans of a layer by its ztoc, as a table of pieces: what must be read, checked and inflated for which bytes of the
// archive.

import { formatError, type OverlaybdError } from '../errors.js';
import { UNITS_A_WINDOW, type Effort } from '../lib/effort.js';
import { MAX_PIECES } from '../pieces/limits.js';
import { CODECS, DIGEST_SIZE, type PieceTable } from '../pieces/piece-table.js';
import { rootTable } from './flatbuffer.js';
import { MAX_SPAN_BYTES, MAX_STORED_SPAN } from './limits.js';
import { parseZinfo, type Checkpoint } from './zinfo.js';
import type { Ztoc } from './ztoc.js';
import { deflateWindow } from '../pieces/windows.js';

/** Fields of the checkpoints of a layer that is not compressed. */
const TAR_ZINFO = { version: 0, spanSize: 1, size: 2 } as const;
const TAR_ZINFO_VERSION = 2;
const SECTOR = 512;

/** A span, as the columns of a table have it. */
interface Span {
  /** In the archive. */
  readonly position: number;
  readonly length: number;
  /** In the layer. */
  readonly begin: number;
  readonly stored: number;
}

/** Heap for a span until the table is made, and memory that it then takes. */
const SPAN_HEAP = 120;
const SPAN_BYTES = 4 * 8 + 7 * 4 + 2 * DIGEST_SIZE + 3;

/** What spans are cut from. */
export interface SpanOptions {
  /** Of the ztoc, for messages. */
  readonly name: string;
  /** Bytes of the layer in front of the first deflate stream: the header of the first gzip member. */
  readonly headerSize: number;
  readonly effort: Effort;
}

/** @throws OverlaybdError BAD_FORMAT, LIMIT */
export async function spanTable(ztoc: Ztoc, options: SpanOptions): Promise<PieceTable> {
  return ztoc.algorithm === 'gzip' ? gzipSpans(ztoc, options) : tarSpans(ztoc, options);
}

async function gzipSpans(ztoc: Ztoc, options: SpanOptions): Promise<PieceTable> {
  const { name, effort, headerSize } = options;
  const { compressedSize, uncompressedSize, spanCount } = ztoc;
  announceSpans(spanCount, options);
  const zinfo = parseZinfo(ztoc.checkpoints, name);
  if (zinfo.count !== spanCount) {
    throw badSpan(name, 0, `${zinfo.count} digests of spans, as checkpoints`, spanCount);
  }
  const spans: Span[] = [];
  const windows: Buffer[] = [];
  const bits: number[] = [];
  let at = zinfo.at(0);
  if (at.plain !== 0) throw badSpan(name, 0, 'the start of the archive', at.plain);
  for (let i = 0; i < zinfo.count; i++) {
    const next: Checkpoint | null = i + 1 < zinfo.count ? zinfo.at(i + 1) : null;
    const end = next?.stored ?? compressedSize;
    // Padding after the end of the archive is not counted: a checkpoint may be in it.
    const plainEnd = next?.plain ?? Math.max(uncompressedSize, at.plain + 1);
    const begin = at.stored - (at.bits > 0 ? 1 : 0);
    checkSpan(name, i, at, { stored: end, plain: plainEnd }, begin, compressedSize);
    const length = Math.min(plainEnd, uncompressedSize) - at.plain;
    if (length > 0) {
      effort.spend(UNITS_A_WINDOW);
      await effort.turn();
      spans.push({ position: at.plain, length, begin, stored: end - begin });
      const window = deflateWindow(at.window);
      effort.keep(window.length, name);
      windows.push(window);
      bits.push(at.bits);
    }
    if (next) at = next;
  }
  const first = zinfo.at(0);
  // Version 1 takes any header for one without fields.
  const skipped = zinfo.version === 1 ? headerSize - first.stored : 0;
  const table = tableOf(spans, ztoc, 'deflate', uncompressedSize);
  const windowBegins = new Float64Array(shared(8 * (spans.length + 1)));
  for (const [i, window] of windows.entries()) {
    windowBegins[i + 1] = (windowBegins[i] as number) + window.length;
  }
  const blocks = {
    bits: new Uint8Array(shared(spans.length)),
    windowBegins,
    windows: new Uint8Array(shared(windowBegins.at(-1) as number)),
    skipped,
  };
  blocks.bits.set(bits);
  for (const [i, window] of windows.entries()) blocks.windows.set(window, windowBegins[i]);
  return { ...table, blocks };
}

/** @throws OverlaybdError BAD_FORMAT, LIMIT */
function checkSpan(
  name: string,
  i: number,
  at: Checkpoint,
  end: Pick<Checkpoint, 'stored' | 'plain'>,
  begin: number,
  compressedSize: number,
): void {
  if (begin < 0 || end.stored < at.stored || end.stored > compressedSize) {
    const expected = `bytes of the layer in their order, at most ${compressedSize}`;
    throw badSpan(name, i, expected, `${at.stored} to ${end.stored}`);
  }
  if (end.plain <= at.plain) {
    throw badSpan(name, i, 'bytes of the archive in their order', `${at.plain} to ${end.plain}`);
  }
  checkLength(name, i, end.plain - at.plain, end.stored - begin);
}

function checkLength(name: string, i: number, plain: number, stored: number): void {
  if (plain > MAX_SPAN_BYTES) {
    throw badSpan(name, i, `at most ${MAX_SPAN_BYTES} bytes of the archive`, plain, 'LIMIT');
  }
  if (stored > MAX_STORED_SPAN) {
    throw badSpan(name, i, `at most ${MAX_STORED_SPAN} bytes of the layer`, stored, 'LIMIT');
  }
}

/** A plain layer: spans of one size. */
function tarSpans(ztoc: Ztoc, options: SpanOptions): PieceTable {
  const { name } = options;
  const { compressedSize, spanCount } = ztoc;
  const zinfo = rootTable(ztoc.checkpoints, name, 'ztoc: checkpoints');
  const version = zinfo.int32(TAR_ZINFO.version);
  if (version !== TAR_ZINFO_VERSION) throw zinfo.bad(`version ${TAR_ZINFO_VERSION}`, version);
  const spanSize = zinfo.whole(TAR_ZINFO.spanSize, 'size of a span');
  const size = zinfo.whole(TAR_ZINFO.size, 'size of the layer');
  if (size !== compressedSize) throw zinfo.bad(`a layer of ${compressedSize} bytes`, size);
  if (spanSize === 0) throw zinfo.bad('spans of at least one byte', 0);
  const count = Math.ceil(size / spanSize);
  if (count !== spanCount) throw badSpan(name, 0, `${count} digests of spans`, spanCount);
  announceSpans(count, options);
  const spans: Span[] = [];
  for (let i = 0; i < count; i++) {
    const begin = i * spanSize;
    const length = Math.min(spanSize, size - begin);
    checkLength(name, i, length, length);
    spans.push({ position: begin, length, begin, stored: length });
  }
  return tableOf(spans, ztoc, 'stored', size);
}

/** @throws OverlaybdError LIMIT if they are too many */
function announceSpans(count: number, { name, effort }: SpanOptions): void {
  if (count > MAX_PIECES) throw badSpan(name, 0, `at most ${MAX_PIECES} spans`, count, 'LIMIT');
  effort.keep(count * SPAN_BYTES, name);
  if (effort.heap?.take(count * SPAN_HEAP) ?? true) return;
  const expected = `spans that take, with what other layers have, at most ${effort.heap?.most} bytes of memory`;
  throw badSpan(name, 0, expected, `${count} spans`, 'LIMIT');
}

/** Span i is piece and member i. */
function tableOf(
  spans: readonly Span[],
  { spanDigests }: Ztoc,
  codec: 'deflate' | 'stored',
  size: number,
): PieceTable {
  const count = spans.length;
  const table: PieceTable = {
    hash: 'sha256',
    count,
    size: Math.ceil(size / SECTOR) * SECTOR,
    positions: new Float64Array(shared(8 * count)),
    lengths: new Uint32Array(shared(4 * count)),
    members: new Uint32Array(shared(4 * count)),
    inner: new Uint32Array(shared(4 * count)),
    digests: new Uint8Array(shared(DIGEST_SIZE * count)),
    // What is checked are the stored bytes.
    hasDigest: new Uint8Array(shared(count)),
    begins: new Float64Array(shared(8 * count)),
    stored: new Uint32Array(shared(4 * count)),
    plain: new Uint32Array(shared(4 * count)),
    firstPieces: new Uint32Array(shared(4 * count)),
    endPieces: new Uint32Array(shared(4 * count)),
    codecs: new Uint8Array(shared(count)).fill(CODECS.indexOf(codec)),
    blocks: null,
    storedDigests: spanDigests,
  };
  for (const [i, { position, length, begin, stored }] of spans.entries()) {
    table.positions[i] = position;
    table.lengths[i] = length;
    table.members[i] = i;
    table.begins[i] = begin;
    table.stored[i] = stored;
    table.plain[i] = length;
    table.firstPieces[i] = i;
    table.endPieces[i] = i + 1;
  }
  return table;
}

function badSpan(
  blob: string,
  span: number,
  expected: string,
  got: string | number,
  code: 'BAD_FORMAT' | 'LIMIT' = 'BAD_FORMAT',
): OverlaybdError {
  return formatError({ blob, section: `ztoc: span ${span}`, offset: 0, expected, got, code });
}

function shared(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(bytes);
}
