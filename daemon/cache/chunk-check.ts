// Whether the bytes of a chunk are right: those that come from a registry, and those that a file has.

import type { CachedSpec } from '../blob/cached-source.js';
import type { ChunkDigests } from '../blob/chunk-digests.js';
import { chunkLength, CHUNK_SIZE } from '../blob/chunk-map.js';
import { readFully } from '../blob/source.js';
import { OverlaybdError } from '../errors.js';
import { EIO } from '../lib/errno.js';
import { checksumRange, sourceOf } from './disk.js';

/** @throws OverlaybdError BAD_CHECKSUM if they are not those of the chunk */
export function checkChunk(
  digests: ChunkDigests,
  { digest, name, size }: CachedSpec,
  chunk: number,
  bytes: Uint8Array,
): void {
  const got = digests.mismatch(chunk, bytes);
  if (got === null) return;
  const expected = digests.expected(chunk);
  const begin = chunk * CHUNK_SIZE;
  const range = `${begin}-${begin + bytes.length - 1}`;
  const message = `${name}: chunk ${chunk} (bytes ${range}): expected SHA-256 ${expected}... as when all ${size} bytes of the layer were read, got ${got}...`;
  const facts = { digest, range, expected, got };
  throw new OverlaybdError('BAD_CHECKSUM', message, { facts });
}

/**
 * Compares a chunk of a file with its record, and with its digest if that is known.
 * @param crc of the record, from `seed` on
 * @returns 0: it is right; 1: it is not; -errno
 */
export async function compareChunk(
  { fd, size, name }: CachedSpec,
  chunk: number,
  { crc, seed }: { readonly crc: number; readonly seed: number },
  digests: ChunkDigests | null,
): Promise<number> {
  const length = chunkLength(size, chunk);
  const position = chunk * CHUNK_SIZE;
  const got = await checksumRange(fd, position, length, seed);
  if (got < 0) return got;
  if (got !== crc) return 1;
  if (!digests) return 0;
  try {
    const bytes = await readFully(sourceOf({ fd, size, path: name }), position, length);
    return digests.mismatch(chunk, bytes) === null ? 0 : 1;
  } catch {
    return -EIO;
  }
}
