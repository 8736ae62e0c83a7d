// A process that fetches the chunks of one blob into a cache folder, in an order of its own, until it is
// killed, or has as many as it was told to fetch. Sends the number of chunks that it has after each one.
import { CacheStore } from '../../daemon/cache/store.js';
import { chunkOfContent, refOf } from './cached-blobs.js';
import { randomBytes, seededRandom } from './pattern.js';

async function write(
  folder: string,
  [contentSeed, size, seed]: readonly [number, number, number],
  chunks: number,
): Promise<void> {
  const content = randomBytes(contentSeed, size);
  const settings = { cacheFolder: folder, cacheSize: null, cacheMinFree: 0 };
  const log = { log: (_level: string, message: string) => void process.stderr.write(message) };
  const store = await CacheStore.open(settings, log);
  const blob = await store.blob(refOf(content));
  const next = seededRandom(seed);
  for (let stored = 0; stored < Math.min(chunks, blob.chunks);) {
    const chunk = next() % blob.chunks;
    if (await blob.present(chunk)) {
      stored = blob.map.count();
      process.send?.(stored);
    } else if (blob.begin(chunk)) {
      await blob.write(chunk, chunkOfContent(content, chunk));
      process.send?.(++stored);
    }
  }
}

const [folder = '', contentSeed, size, seed, chunks] = process.argv.slice(2);
await write(
  folder,
  [Number(contentSeed), Number(size), Number(seed)],
  Number(chunks ?? Number.POSITIVE_INFINITY),
);
if (chunks !== undefined) process.exit();
// Goes on holding its locks until it is killed.
setInterval(() => {}, 1000);
