// A thread with a store that is ended without closing it: one blob in the folder with four chunks, and a fifth
// that is begun; one blob in memory with one chunk. Posts both specs.
import { parentPort, workerData } from 'node:worker_threads';
import { CacheStore } from '../../daemon/cache/store.js';
import { BufferFetcher, chunkOfContent, refOf, silentLog } from './cached-blobs.js';
import { randomBytes } from './pattern.js';

async function fill(folder: string, content: Buffer): Promise<void> {
  const settings = { cacheFolder: folder, cacheSize: null, cacheMinFree: 0 };
  const store = await CacheStore.open(settings, silentLog());
  const ref = refOf(content);
  const blob = await store.blob(ref);
  await new BufferFetcher(blob, content).want(0, 0, 3);
  blob.begin(4);
  // No file: the digest is of another algorithm.
  const inMemory = await store.blob({ ...ref, digest: 'sha512:00' });
  inMemory.begin(0);
  await inMemory.write(0, chunkOfContent(content, 0));
  parentPort?.postMessage([blob.spec, inMemory.spec]);
  setInterval(() => {}, 1000);
}

const { folder, contentSeed, size } = workerData as {
  folder: string;
  contentSeed: number;
  size: number;
};
await fill(folder, randomBytes(contentSeed, size));
