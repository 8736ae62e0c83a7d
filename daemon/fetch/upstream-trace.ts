// The binary traces of the reference implementation: which plain bytes of which layers a container reads first.
// They are files, or the content of an image's acceleration layer. Pure.

import { formatError } from '../errors.js';
import { overLimit } from '../lib/fault.js';
import { crc32c } from '../native/crc32c.js';
import { MAX_TRACE_BYTES, MAX_TRACE_ENTRIES } from './limits.js';

/** Plain bytes of a layer: inside its tar and its ZFile. */
export interface UpstreamEntry {
  /** 0 is the bottom. */
  readonly layer: number;
  readonly offset: number;
  readonly length: number;
}

const MAGIC = 3_270_449_184;
const HEADER_BYTES = 24;
const RECORD_BYTES = 24;
/** Offsets in the header, in bytes. */
const HEADER = { magic: 0, dataSize: 8, checksum: 16 } as const;
/** Offsets in a record, in bytes. The gaps are padding; the checksum covers them. */
const RECORD = { operation: 0, layer: 4, count: 8, offset: 16 } as const;
const READ = 'R'.charCodeAt(0);

/** Whether bytes are such a trace, maybe a damaged one. */
export function isUpstreamTrace(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && viewOf(bytes).getUint32(HEADER.magic, true) === MAGIC;
}

/**
 * Parses a trace: a header of 24 bytes, then records of 24 bytes.
 * @param name for messages
 * @returns the reads, in their order; other operations are left out
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, LIMIT
 */
export function parseUpstreamTrace(bytes: Uint8Array, name: string): UpstreamEntry[] {
  checkHeader(bytes, name);
  const view = viewOf(bytes);
  const entries: UpstreamEntry[] = [];
  for (let at = HEADER_BYTES; at < bytes.length; at += RECORD_BYTES) {
    if (view.getUint8(at + RECORD.operation) !== READ) continue;
    const layer = view.getUint32(at + RECORD.layer, true);
    const count = view.getBigUint64(at + RECORD.count, true);
    const offset = view.getBigInt64(at + RECORD.offset, true);
    if (offset < 0n || offset + count > BigInt(Number.MAX_SAFE_INTEGER)) {
      const section = `record ${(at - HEADER_BYTES) / RECORD_BYTES}`;
      const got = `${count} bytes at ${offset}`;
      throw formatError({ blob: name, section, offset: at, expected: 'a range of a layer', got });
    }
    if (count > 0n) entries.push({ layer, offset: Number(offset), length: Number(count) });
  }
  return entries;
}

function checkHeader(bytes: Uint8Array, name: string): void {
  if (bytes.length > MAX_TRACE_BYTES) {
    throw overLimit({ blob: name }, bytes.length, 'bytes of a trace', MAX_TRACE_BYTES);
  }
  const problem = { blob: name, section: 'trace header' };
  if (bytes.length < HEADER_BYTES || !isUpstreamTrace(bytes)) {
    const expected = `${HEADER_BYTES} bytes that begin with ${MAGIC}`;
    const begin = bytes.length < 4 ? '' : ` that begin with ${viewOf(bytes).getUint32(0, true)}`;
    const got = `${bytes.length} bytes${begin}`;
    throw formatError({ ...problem, offset: HEADER.magic, expected, got });
  }
  const view = viewOf(bytes);
  const dataSize = view.getBigUint64(HEADER.dataSize, true);
  const rest = bytes.length - HEADER_BYTES;
  if (dataSize !== BigInt(rest) || rest % RECORD_BYTES !== 0) {
    const expected = `${rest} bytes of records, each of ${RECORD_BYTES}`;
    throw formatError({ ...problem, offset: HEADER.dataSize, expected, got: dataSize });
  }
  const got = view.getUint32(HEADER.checksum, true);
  const checksum = crc32c(bytes, HEADER_BYTES, rest, 0);
  if (got !== checksum) {
    const code = 'BAD_CHECKSUM';
    const expected = `${checksum}`;
    throw formatError({ ...problem, offset: HEADER.checksum, expected, got, code });
  }
  if (rest / RECORD_BYTES > MAX_TRACE_ENTRIES) {
    throw overLimit({ blob: name }, rest / RECORD_BYTES, 'entries of a trace', MAX_TRACE_ENTRIES);
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
