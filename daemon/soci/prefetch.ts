// The spans that an image wants to be fetched before they are read: a list beside the ztoc of a layer. It is a hint: what is
// wrong with it is a note, and the layer is opened without it.

import { checkSize, readFully, type BlobSource } from '../blob/source.js';
import { formatError, messageOf, OverlaybdError } from '../errors.js';
import { sha256Of } from '../lib/sha256.js';
import { quotedJson } from '../lib/printable.js';
import type { PieceTable } from '../pieces/piece-table.js';
import type { StoredRange } from '../pieces/pieces-source.js';
import { MAX_PREFETCH_BYTES, MAX_PREFETCH_SPANS } from './limits.js';

const SECTION = 'prefetch list';
const VERSION = '1.0';
const MAX_SHOWN_LENGTH = 80;

export interface PrefetchSource {
  /** For messages. */
  readonly name: string;
  readonly digest: string;
  /** @throws OverlaybdError if it is not there */
  open(): Promise<BlobSource>;
}

export interface Prefetch {
  /** The first ones first. */
  readonly ranges: readonly StoredRange[];
  /** For people: why it is not used. */
  readonly notes: readonly string[];
}

/**
 * @param table of the layer's spans
 * @throws OverlaybdError never; what reading throws beside that
 */
export async function readPrefetch(from: PrefetchSource, table: PieceTable): Promise<Prefetch> {
  try {
    const source = await from.open();
    return { ranges: rangesOf(await bytesOf(source, from.digest), source.name, table), notes: [] };
  } catch (error) {
    if (!(error instanceof OverlaybdError)) throw error;
    const note = `${from.name}: its list of spans to fetch first is not used: ${messageOf(error)}`;
    return { ranges: [], notes: [note] };
  }
}

async function bytesOf(source: BlobSource, digest: string): Promise<Buffer> {
  const { name: blob, size } = source;
  checkSize(source, MAX_PREFETCH_BYTES, SECTION);
  const bytes = await readFully(source, 0, size);
  const got = sha256Of(bytes);
  if (got === digest) return bytes;
  const expected = `the digest ${digest}`;
  throw formatError({ blob, section: SECTION, offset: 0, expected, got, code: 'BAD_CHECKSUM' });
}

/** @throws OverlaybdError BAD_FORMAT, LIMIT */
function rangesOf(bytes: Buffer, blob: string, table: PieceTable): StoredRange[] {
  const bad = (expected: string, got: unknown, code: 'BAD_FORMAT' | 'LIMIT' = 'BAD_FORMAT') =>
    formatError({
      blob,
      section: SECTION,
      offset: 0,
      expected,
      got: quotedJson(got, MAX_SHOWN_LENGTH),
      code,
    });
  const { version, prefetch_spans: spans } = (parsed(bytes) ?? {}) as Record<string, unknown>;
  if (version !== VERSION) throw bad(`version "${VERSION}"`, version);
  if (!Array.isArray(spans)) throw bad('prefetch_spans: a list', spans);
  if (spans.length > MAX_PREFETCH_SPANS) {
    throw bad(`at most ${MAX_PREFETCH_SPANS} ranges of spans`, spans.length, 'LIMIT');
  }
  const isSpan = (value: unknown): value is number =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) < table.count;
  const wanted = spans.map((span: unknown) => {
    const { start_span: first, end_span: last, priority = 0 } = (span ?? {}) as RangeOfSpans;
    if (!isSpan(first) || !isSpan(last) || first > last || typeof priority !== 'number') {
      throw bad(`a range of the ${table.count} spans of the layer`, span);
    }
    const begin = table.begins[first] as number;
    const end = (table.begins[last] as number) + (table.stored[last] as number);
    return { range: { begin, end }, priority };
  });
  // Those with the same priority stay in their order.
  return wanted.toSorted((a, b) => a.priority - b.priority).map(({ range }) => range);
}

interface RangeOfSpans {
  readonly start_span?: unknown;
  readonly end_span?: unknown;
  readonly priority?: unknown;
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}
