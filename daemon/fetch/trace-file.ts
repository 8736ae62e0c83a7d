// The traces that are replayed: which bytes of which layers a container reads first. Our own format has the
// chunks of blobs by their digests. Upstream's has plain bytes of layers by their number. Pure.

import { OverlaybdError, formatError } from '../errors.js';
import { crc32c } from '../native/crc32c.js';
import { printable } from '../lib/printable.js';
import { MAX_TRACE_BYTES, MAX_TRACE_ENTRIES } from './limits.js';

/** Chunks of a blob, both ends included. The order of entries is that of their first use. */
export interface TraceEntry {
  /** "sha256:HEX". */
  readonly digest: string;
  readonly first: number;
  readonly last: number;
}

/** Plain bytes of a layer: what its ZFile decodes to. */
export interface UpstreamEntry {
  /** 0 is the bottom. */
  readonly layer: number;
  readonly offset: number;
  readonly length: number;
}

const HEAD = 'overlaybd-nbd trace 1';
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const LINE = /^(\d{1,5}) (\d{1,12})(?:-(\d{1,12}))?$/;

/** A line for each blob, then a line for each entry: the number of the blob and its chunks. */
export function formatTrace(entries: readonly TraceEntry[]): string {
  const blobs = [...new Set(entries.map(({ digest }) => digest))];
  const numbers = new Map(blobs.map((digest, i) => [digest, i]));
  const lines = entries.map(({ digest, first, last }) => {
    const chunks = first === last ? `${first}` : `${first}-${last}`;
    return `${numbers.get(digest)} ${chunks}`;
  });
  return [HEAD, ...blobs, ...lines, ''].join('\n');
}

/** @throws OverlaybdError BAD_FORMAT, LIMIT, with the line as the section */
export function parseTrace(text: string, name: string): TraceEntry[] {
  checkSize(text.length, name);
  const [head = '', ...lines] = text.split('\n');
  if (head !== HEAD) throw wrongLine(name, 1, `"${HEAD}"`, head);
  if (lines.pop() !== '') throw wrongLine(name, lines.length + 1, 'the end of a line', 'none');
  const blobs: string[] = [];
  const entries: TraceEntry[] = [];
  for (const [i, line] of lines.entries()) {
    if (entries.length === 0 && DIGEST.test(line)) {
      blobs.push(line);
      continue;
    }
    const [, blob = '', first = '', last = first] = LINE.exec(line) ?? [];
    const digest = blobs[Number(blob)];
    if (blob === '' || digest === undefined || Number(last) < Number(first)) {
      throw wrongLine(name, i + 2, 'the number of a blob and its chunks', line);
    }
    entries.push({ digest, first: Number(first), last: Number(last) });
    checkCount(entries.length, name);
  }
  return entries;
}

const MAGIC = 3270449184;
const HEADER_BYTES = 24;
const RECORD_BYTES = 24;
const READ = 'R'.charCodeAt(0);

/** Whether a file is a binary trace of upstream. */
export function isUpstreamTrace(bytes: Uint8Array): boolean {
  return bytes.length >= HEADER_BYTES && viewOf(bytes).getUint32(0, true) === MAGIC;
}

/**
 * Upstream's binary trace: a header of 24 bytes (magic, size of the records at 8, their CRC at 16), and records of
 * 24 bytes (operation at 0, layer at 4, count at 8, offset at 16).
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, LIMIT
 */
export function parseUpstreamTrace(bytes: Uint8Array, name: string): UpstreamEntry[] {
  checkSize(bytes.length, name);
  const view = viewOf(bytes);
  const wrong = (
    section: string,
    offset: number,
    expected: string,
    got: string | number | bigint,
  ) => formatError({ blob: name, section, offset, expected, got });
  if (!isUpstreamTrace(bytes)) {
    const got = bytes.length < HEADER_BYTES ? `${bytes.length} bytes` : view.getUint32(0, true);
    throw wrong('header', 0, `a trace that begins with ${MAGIC}`, got);
  }
  const dataSize = view.getBigUint64(8, true);
  const expected = bytes.length - HEADER_BYTES;
  if (dataSize !== BigInt(expected) || expected % RECORD_BYTES !== 0) {
    throw wrong('header', 8, `${expected} bytes of records, each of ${RECORD_BYTES}`, dataSize);
  }
  const checksum = crc32c(bytes, HEADER_BYTES, expected, 0);
  const stored = view.getUint32(16, true);
  if (stored !== checksum) {
    throw formatError({
      blob: name,
      section: 'header',
      offset: 16,
      expected: `checksum ${checksum}`,
      got: stored,
      code: 'BAD_CHECKSUM',
    });
  }
  checkCount(expected / RECORD_BYTES, name);
  const entries: UpstreamEntry[] = [];
  for (let at = HEADER_BYTES; at < bytes.length; at += RECORD_BYTES) {
    // Other operations are none of reading.
    if (view.getUint8(at) !== READ) continue;
    const section = `record ${(at - HEADER_BYTES) / RECORD_BYTES}`;
    const layer = view.getUint32(at + 4, true);
    const length = safe(view.getBigUint64(at + 8, true));
    const offset = safe(view.getBigInt64(at + 16, true));
    if (length === null || offset === null || length + offset > Number.MAX_SAFE_INTEGER) {
      throw wrong(section, at + 8, 'a range of a layer', view.getBigUint64(at + 8, true));
    }
    if (length > 0) entries.push({ layer, offset, length });
  }
  return entries;
}

/**
 * The chunks of blobs that upstream's entries need.
 * @param chunksOf what holds a range of a layer: by its jump table. null: no such layer, or no such range
 */
export function mapUpstreamTrace(
  entries: readonly UpstreamEntry[],
  chunksOf: (layer: number, offset: number, length: number) => TraceEntry | null,
): TraceEntry[] {
  const mapped: TraceEntry[] = [];
  for (const { layer, offset, length } of entries) {
    const entry = chunksOf(layer, offset, length);
    const before = mapped.at(-1);
    const isSame =
      entry?.digest === before?.digest &&
      entry?.first === before?.first &&
      entry?.last === before?.last;
    if (entry && !isSame) mapped.push(entry);
  }
  return mapped;
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function safe(value: bigint): number | null {
  return value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : null;
}

function wrongLine(name: string, line: number, expected: string, got: string): OverlaybdError {
  const shown = JSON.stringify(printable(got.slice(0, 64)));
  const what = `${name}: line ${line}: expected ${expected}, got ${shown}`;
  return new OverlaybdError('BAD_FORMAT', what, {
    facts: { blob: name, section: `line ${line}`, expected, got: shown },
  });
}

function checkSize(bytes: number, name: string): void {
  if (bytes <= MAX_TRACE_BYTES) return;
  throw new OverlaybdError('LIMIT', `${name}: ${bytes} bytes, the limit is ${MAX_TRACE_BYTES}`);
}

function checkCount(entries: number, name: string): void {
  if (entries <= MAX_TRACE_ENTRIES) return;
  throw new OverlaybdError('LIMIT', `${name}: more than ${MAX_TRACE_ENTRIES} entries`);
}
