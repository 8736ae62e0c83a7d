// Writes one chunk of a blob, and its record, into its files: if there is room, and the disk does its work.

import type { CachedSpec } from '../blob/cached-source.js';
import { CHUNK_SIZE } from '../blob/chunk-map.js';
import { ETIMEDOUT, errnoText } from '../lib/errno.js';
import { crc32c } from '../native/crc32c.js';
import type { BlobContext } from './blob-context.js';
import type { Claims } from './claims.js';
import { storeChunk, type CacheFile } from './disk.js';
import { recordPosition } from './state-file.js';

/** Bytes of all blobs that may wait for the disk. Beyond that, chunks go to memory at once. */
export const MAX_WAITING_BYTES = 64 << 20;

export interface ChunkWriterParts {
  readonly context: BlobContext;
  readonly claims: Claims;
  /** The state file of the blob. */
  readonly state: CacheFile;
}

/** @returns whether the file has it. Never rejects because of the disk */
export async function writeChunk(
  { context, claims, state }: ChunkWriterParts,
  { fd, name }: Pick<CachedSpec, 'fd' | 'name'>,
  chunk: number,
  bytes: Uint8Array,
): Promise<boolean> {
  if (context.waitingBytes + bytes.length > MAX_WAITING_BYTES) return false;
  if (!context.begin(bytes.length)) return false;
  if (!context.health.mayTry()) {
    context.notStored(bytes.length);
    return false;
  }
  const { format } = claims;
  const record = format.encode(crc32c(bytes, 0, bytes.length, format.seed(chunk)));
  const position = recordPosition(chunk);
  context.waitingBytes += bytes.length;
  const result = await storeChunk(
    { fd, position: chunk * CHUNK_SIZE, bytes },
    { fd: state.fd, position, bytes: record },
  );
  context.waitingBytes -= bytes.length;
  if (result < 0) {
    // What is late may still be written.
    if (result === -ETIMEDOUT) context.stored(bytes.length);
    else context.notStored(bytes.length);
    context.health.failed(`write ${name}: ${errnoText(-result)}`);
    return false;
  }
  context.health.worked();
  context.stored(bytes.length);
  claims.stored(chunk, record);
  return true;
}
