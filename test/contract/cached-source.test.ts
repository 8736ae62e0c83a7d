// The contract suite for cached blobs: with a fetcher that takes its chunks from memory, with the store on a
// disk, with the store that has no disk, and while chunks are evicted all the time.
import { writeSync } from 'node:fs';
import type { Test } from 'tap';
import { CachedSource, type ChunkFetcher } from '../../daemon/blob/cached-source.js';
import { CHUNK_SIZE, ChunkMap } from '../../daemon/blob/chunk-map.js';
import { cacheFiles } from '../../daemon/native/cache-file.js';
import { files } from '../../daemon/native/file.js';
import { BufferFetcher, chunkOfContent, openStore, refOf } from '../support/cached-blobs.js';
import { blobSourceSuite, PLAIN, type SourceUnderTest } from './blob-source-suite.js';

/** Writes into a file in memory, and sets the bits. */
function fakeFetcher(map: ChunkMap, fd: number): ChunkFetcher {
  const want = async (_blob: number, first: number, last: number): Promise<void> => {
    await Promise.resolve();
    for (let chunk = first; chunk <= last; chunk++) {
      writeSync(fd, chunkOfContent(PLAIN, chunk), 0, undefined, chunk * CHUNK_SIZE);
      map.set(chunk);
    }
  };
  return { want, hint: () => {}, drop: () => {}, refetch: want };
}

function inMemory(t: Test): SourceUnderTest {
  const fd = cacheFiles.memory(PLAIN.length);
  t.teardown(() => files.close(fd));
  const map = ChunkMap.create(PLAIN.length);
  const { state } = map;
  const about = { name: 'blob', digest: refOf(PLAIN).digest, size: PLAIN.length, blob: 1 };
  return {
    source: new CachedSource(
      { kind: 'cached', ...about, fd, slotsFd: fd, state },
      fakeFetcher(map, fd),
    ),
  };
}

async function stored(t: Test, folder: string | null): Promise<SourceUnderTest> {
  const store = await openStore(t, { cacheFolder: folder });
  const blob = await store.blob(refOf(PLAIN));
  return { source: new CachedSource(blob.spec, new BufferFetcher(blob, PLAIN)) };
}

await blobSourceSuite('cached blob, any fetcher', inMemory);

await blobSourceSuite('cached blob in a folder', (t) => stored(t, t.testdir()));

await blobSourceSuite('cached blob without a folder', (t) => stored(t, '/proc/no-cache-here'));

await blobSourceSuite('complete blob', async (t) => {
  const store = await openStore(t, { cacheFolder: t.testdir() });
  const blob = await store.blob(refOf(PLAIN));
  const fetcher = new BufferFetcher(blob, PLAIN);
  await fetcher.want(1, 0, blob.chunks - 1);
  t.equal(await blob.complete(), 'complete');
  return { source: new CachedSource(blob.spec, fetcher) };
});

await blobSourceSuite('cached blob that loses chunks all the time', async (t) => {
  const store = await openStore(t, { cacheFolder: t.testdir() });
  const blob = await store.blob(refOf(PLAIN));
  let chunk = 0;
  const losing = setInterval(() => {
    blob.drop(chunk, chunk);
    chunk = (chunk + 7) % blob.chunks;
  }, 1);
  t.teardown(() => clearInterval(losing));
  return { source: new CachedSource(blob.spec, new BufferFetcher(blob, PLAIN)) };
});
