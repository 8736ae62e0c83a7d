// A layer of an ordinary image that is not an archive: nothing in it can be compared with what the image says of it. So all of its
// bytes are compared with the digest of the blob before it is opened. Of a registry, a record keeps the digests of its chunks: at later
// openings each chunk is compared with its own, when it is read or fetched again. Of a layout, a record says that the file was compared.

import type { CachedSpec } from '../../blob/cached-source.js';
import type { ChunkDigests } from '../../blob/chunk-digests.js';
import { chunkOf, ChunkMap } from '../../blob/chunk-map.js';
import { HashedSource } from '../../blob/hashed-source.js';
import type { BlobSource } from '../../blob/source.js';
import { OverlaybdError } from '../../errors.js';
import { DECODED_BYTES_A_UNIT } from '../../lib/effort.js';
import { cachedOf, type SourceSpec } from '../disks/spec.js';
import type { ContentRules, OpenTools } from './format.js';
import { placesOf, type LayerPlaces } from './layer-places.js';
import { settled } from './maybe-damage.js';
import { comparedChunks, encodeCompared, wasCompared } from './layer-record.js';

type Tools = Pick<OpenTools, 'readers' | 'effort' | 'records'>;

/**
 * Compares all bytes of a blob with its digest. What was read of it before may be other bytes: read it again.
 * @param blob with its wrappers
 * @param expected "sha256:HEX"
 * @throws OverlaybdError BAD_CHECKSUM, and what reading and the effort throw
 */
export function verifyStored(
  blob: SourceSpec,
  expected: string,
  rules: Pick<ContentRules, 'recordKey'>,
  tools: Tools,
): Promise<void> {
  const cached = cachedOf(blob);
  return cached
    ? verifyBlob(cached, expected, rules, tools)
    : verifyFile(blob, expected, rules, tools);
}

/**
 * Of a registry.
 * @param expected "sha256:HEX"
 * @throws OverlaybdError BAD_CHECKSUM, and what reading and the effort throw
 */
async function verifyBlob(
  cached: CachedSpec,
  expected: string,
  rules: Pick<ContentRules, 'recordKey'>,
  tools: Tools,
): Promise<void> {
  // The cache has compared all of it.
  if (new ChunkMap(cached.state, cached.size).isComplete) return;
  const fetcher = tools.readers.fetcher();
  const places = await placesOf(false, rules, tools, true);
  const kept = fetcher.setDigests ? await keptChunks(cached, expected, places, tools) : null;
  if (kept) {
    // What the cache has may have come since: nothing of it is known to be right.
    await fetcher.setDigests?.(cached.blob, kept, null);
    return;
  }
  const chunks = await compare(cached, expected, tools);
  const { records, key } = places;
  // Without it, the next opening compares all bytes again.
  if (records && key) await records.put(key, encodeCompared(cached.size, expected, chunks));
}

/** In a file. */
async function verifyFile(
  file: SourceSpec,
  expected: string,
  rules: Pick<ContentRules, 'recordKey'>,
  tools: Tools,
): Promise<void> {
  const source = tools.readers.source(file);
  const places = await placesOf(false, rules, tools, false);
  const content = await keptRecord(places, tools);
  if (content && wasCompared(content, source.size, expected, source.name)) return;
  tools.effort.whole?.(source.size);
  const hashed = new HashedSource(source, tools.effort);
  const got = await hashed.digest();
  if (got !== expected) throw otherDigest(source, expected, got);
  const { records, key } = places;
  // Its chunks need no digests: none is fetched again.
  if (records && key) await records.put(key, encodeCompared(source.size, expected, null));
}

async function keptChunks(
  { name, size }: Pick<BlobSource, 'name' | 'size'>,
  expected: string,
  places: LayerPlaces,
  tools: Tools,
): Promise<ChunkDigests | null> {
  const content = await keptRecord(places, tools);
  return content && comparedChunks(content, size, expected, name);
}

async function keptRecord(
  { records, key }: LayerPlaces,
  { effort }: Tools,
): Promise<Buffer | null> {
  if (!records || !key) return null;
  const bytes = await records.sizeOf(key);
  if (bytes === null) return null;
  // Before it is read: a large one is left to another thread.
  effort.spend(Math.ceil(bytes / DECODED_BYTES_A_UNIT));
  return records.get(key);
}

/** Reads all bytes, and keeps in the fetcher what the chunks are. */
async function compare(
  cached: CachedSpec,
  expected: string,
  { readers, effort }: Tools,
): Promise<ChunkDigests> {
  for (let attempt = 1; ; attempt++) {
    const source = readers.source(cached);
    if (attempt === 1) effort.whole?.(source.size);
    const hashed = new HashedSource(source, effort, attempt > 1, true);
    const { generation } = new ChunkMap(cached.state, cached.size);
    const got = await hashed.digest();
    if (got === expected) {
      const chunks = hashed.chunks as ChunkDigests;
      // What is fetched again later must be the same.
      await readers.fetcher().setDigests?.(cached.blob, chunks, generation);
      return chunks;
    }
    if (attempt === 1) continue;
    readers.fetcher().drop(cached.blob, 0, chunkOf(cached.size - 1));
    throw otherDigest(source, expected, got);
  }
}

function otherDigest(
  { name, size }: Pick<BlobSource, 'name' | 'size'>,
  expected: string,
  got: string,
): OverlaybdError {
  const message = `${name}: expected digest ${expected}, got ${got} (${size} bytes)`;
  return settled(
    new OverlaybdError('BAD_CHECKSUM', message, { facts: { digest: expected, expected, got } }),
  );
}
