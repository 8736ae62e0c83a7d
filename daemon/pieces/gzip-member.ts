// Inflates the beginning of a gzip member; a long one on a thread of Node's pool.

import type { Gunzip, InflateRaw } from 'node:zlib';

/** Bytes that are inflated at once: that takes 0.1 ms, and a job of the pool does not pay. */
const MAX_AT_ONCE = 64 * 1024;
/** What may follow in the member and is inflated with it. */
const MAX_REST = 64 * 1024;
/** Bytes of a header without any field that may follow. */
const FIXED_HEADER = 10;
/** Flags of a header: fields that follow. */
const FHCRC = 2;
const FEXTRA = 4;
const FNAME = 8;
const FCOMMENT = 16;
const RESERVED = 0xe0;
/** Bytes after the deflate stream of a member: its checksum and its length. */
const TRAILER_SIZE = 8;
/** Node's own least. */
export const MIN_CHUNK = 64;

/**
 * Inflates `wanted` bytes. It neither inflates nor checks the bytes after them.
 * @param stored begins with a gzip member, and may end in it; other members may follow
 * @param hasDigest whether the caller checks a digest of the bytes: then the checksum of the member does not matter
 * @returns at most `wanted` bytes: fewer if there are no more
 * @throws Error of zlib if that is not possible
 */
export async function inflateBegin(
  stored: Uint8Array,
  wanted: number,
  hasDigest: boolean,
): Promise<Uint8Array> {
  return inflatedAtOnce(stored, wanted, hasDigest) ?? inflateElsewhere(stored, wanted, hasDigest);
}

/** @returns null if it is too much, or the error may be after the bytes that are wanted */
function inflatedAtOnce(stored: Uint8Array, wanted: number, hasDigest: boolean): Uint8Array | null {
  if (wanted > MAX_AT_ONCE || stored.length > 2 * MAX_AT_ONCE) return null;
  // Reactors load this file at every start: zlib is loaded when it is needed.
  const { constants, gunzipSync } = process.getBuiltinModule('node:zlib');
  try {
    const bytes = gunzipSync(stored, {
      // It may end in the member.
      finishFlush: constants.Z_SYNC_FLUSH,
      chunkSize: wanted + 2048,
      maxOutputLength: wanted + MAX_REST,
    });
    return bytes.subarray(0, wanted);
  } catch (error) {
    const isLong = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    if (isLong || hasDigest) return null;
    throw error;
  }
}

function inflateElsewhere(
  stored: Uint8Array,
  wanted: number,
  hasDigest: boolean,
): Promise<Uint8Array> {
  // One job of the pool inflates a whole chunk.
  const { createGunzip, createInflateRaw } = process.getBuiltinModule('node:zlib');
  const chunkSize = Math.max(wanted, MIN_CHUNK);
  const begin = hasDigest ? deflateAt(stored) : null;
  if (begin === null) return collect(createGunzip({ chunkSize }), stored, wanted);
  // zlib reports a wrong checksum instead of the bytes before it. Without header and trailer the first member has none.
  return inflateMembers(createInflateRaw({ chunkSize }), stored.subarray(begin), wanted);
}

/**
 * Inflates the rest of a member, from within its deflate stream on, and the members that follow it.
 * @param raw a new stream of zlib, for what `stored` begins with
 * @returns at most `wanted` bytes: fewer if there are no more
 * @throws Error of zlib if that is not possible
 */
export async function inflateMembers(
  raw: InflateRaw,
  stored: Uint8Array,
  wanted: number,
): Promise<Uint8Array> {
  const first = await collect(raw, stored, wanted);
  const rest = stored.subarray(raw.bytesWritten + TRAILER_SIZE);
  const missing = wanted - first.length;
  if (missing === 0 || rest.length === 0) return first;
  const { constants, createGunzip } = process.getBuiltinModule('node:zlib');
  const gunzip = createGunzip({
    chunkSize: Math.max(missing, MIN_CHUNK),
    // It may end in a member.
    finishFlush: constants.Z_SYNC_FLUSH,
  });
  return Buffer.concat([first, await collect(gunzip, rest, missing)]);
}

/** Where the deflate stream begins, after the header (RFC 1952, 2.3); null if that is not a gzip member. */
export function deflateAt(stored: Uint8Array): number | null {
  if (stored.length < FIXED_HEADER || stored[0] !== 0x1f || stored[1] !== 0x8b || stored[2] !== 8) {
    return null;
  }
  const flags = stored[3] as number;
  if (flags & RESERVED) return null;
  let at = FIXED_HEADER;
  if (flags & FEXTRA) at += 2 + ((stored[at] ?? 0) | ((stored[at + 1] ?? 0) << 8));
  for (const text of [FNAME, FCOMMENT]) {
    if (!(flags & text)) continue;
    const end = stored.indexOf(0, at);
    if (end < 0) return null;
    at = end + 1;
  }
  if (flags & FHCRC) at += 2;
  return at < stored.length ? at : null;
}

/** Passes bytes through a stream of zlib until as many are there as are wanted. */
function collect(
  stream: Gunzip | InflateRaw,
  stored: Uint8Array,
  wanted: number,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    const done = (): void => {
      stream.destroy();
      const all = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
      resolve(all.subarray(0, wanted));
    };
    stream.on('data', (part: Buffer) => {
      parts.push(part);
      bytes += part.length;
      if (bytes >= wanted) done();
    });
    stream.on('end', done);
    stream.on('error', reject);
    stream.end(stored);
  });
}
