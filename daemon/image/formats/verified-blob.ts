// A layer of an ordinary image in a registry that is not an archive: nothing in it can be compared with what the image says of it. So all of its
// bytes are compared with the digest of the blob before it is opened.

import type { CachedSpec } from '../../blob/cached-source.js';
import { chunkOf, ChunkMap } from '../../blob/chunk-map.js';
import { HashedSource } from '../../blob/hashed-source.js';
import { OverlaybdError } from '../../errors.js';
import type { OpenTools } from './format.js';

/**
 * What was read of the blob before may be other bytes: read it again.
 * @param expected "sha256:HEX"
 * @throws OverlaybdError BAD_CHECKSUM, and what reading and the effort throw
 */
export async function verifyBlob(
  cached: CachedSpec,
  expected: string,
  { readers, effort }: Pick<OpenTools, 'readers' | 'effort'>,
): Promise<void> {
  // The cache has compared all of it.
  if (new ChunkMap(cached.state, cached.size).isComplete) return;
  for (let attempt = 1; ; attempt++) {
    const source = readers.source(cached);
    const { name, size } = source;
    if (attempt === 1) effort.whole?.(size);
    const hashed = new HashedSource(source, effort, attempt > 1, true);
    const { generation } = new ChunkMap(cached.state, cached.size);
    const got = await hashed.digest();
    if (got === expected) {
      const { chunks } = hashed;
      // What is fetched again later must be the same.
      if (chunks) await readers.fetcher().setDigests?.(cached.blob, chunks, generation);
      return;
    }
    if (attempt === 1) continue;
    readers.fetcher().drop(cached.blob, 0, chunkOf(cached.size - 1));
    const message = `${name}: expected digest ${expected}, got ${got} (${size} bytes)`;
    throw new OverlaybdError('BAD_CHECKSUM', message, {
      facts: { digest: expected, expected, got },
    });
  }
}
