// The traces that are recorded and replayed: which chunks of which blobs a container reads first. Pure.

import type { OverlaybdError } from '../errors.js';
import { mismatch, overLimit } from '../lib/fault.js';
import { printable } from '../lib/printable.js';
import { isSha256 } from '../lib/sha256.js';
import { MAX_TRACE_BYTES, MAX_TRACE_ENTRIES } from './limits.js';

/** Chunks of a blob, both ends included. The order of entries is that of their first use. */
export interface TraceEntry {
  /** "sha256:HEX". */
  readonly digest: string;
  readonly first: number;
  readonly last: number;
}

const HEAD = 'overlaybd-nbd trace 1';
const PROGRAM = Buffer.from('overlaybd-nbd trace ');
const LINE = /^(\d{1,5}) (\d{1,12})(?:-(\d{1,12}))?$/;

/** Whether bytes begin as such a trace does, also as one of another version. */
export function isOwnTrace(bytes: Buffer): boolean {
  return bytes.subarray(0, PROGRAM.length).equals(PROGRAM);
}

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
    if (entries.length === 0 && isSha256(line)) {
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

function wrongLine(name: string, line: number, expected: string, got: string): OverlaybdError {
  const shown = JSON.stringify(printable(got.slice(0, 64)));
  return mismatch('BAD_FORMAT', { blob: name, section: `line ${line}`, expected, got: shown });
}

function checkSize(bytes: number, name: string): void {
  if (bytes <= MAX_TRACE_BYTES) return;
  throw overLimit({ blob: name }, bytes, 'bytes', MAX_TRACE_BYTES);
}

function checkCount(entries: number, name: string): void {
  if (entries <= MAX_TRACE_ENTRIES) return;
  throw overLimit({ blob: name }, entries, 'entries or more', MAX_TRACE_ENTRIES);
}
