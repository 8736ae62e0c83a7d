// Readers in other threads while chunks are evicted and fetched again as fast as it goes: never a wrong byte.
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { test, type Test } from 'tap';
import { CHUNK_SIZE, MAP_HITS, MAP_REPEATS } from '../../daemon/blob/chunk-map.js';
import type { CachedBlob } from '../../daemon/cache/cached-blob.js';
import { SLOTS } from '../../daemon/cache/slots.js';
import { StoredBlob } from '../../daemon/cache/stored-blob.js';
import { BufferFetcher, openStore, refOf } from '../support/cached-blobs.js';
import type { ReaderEnd, ReaderOrder, ReaderWant } from '../support/cache-reader.js';
import { usualOrLong } from '../support/long-tests.js';
import { randomBytes, seededRandom } from '../support/pattern.js';
import { SEED } from '../support/seed.js';

const CHUNKS = 64;
const CONTENT_SEED = 17;
const CONTENT = randomBytes(CONTENT_SEED, CHUNKS * CHUNK_SIZE);
const READERS = 2;
/** Of each reader. */
const READS = { holes: usualOrLong(10_000, 25_000), slots: usualOrLong(3000, 6000) };

/** Starts a reader, and answers it. */
function startReader(blob: CachedBlob, seed: number, reads: number): Promise<ReaderEnd> {
  const fetcher = new BufferFetcher(blob, CONTENT);
  const order: ReaderOrder = { spec: blob.spec, contentSeed: CONTENT_SEED, seed, reads };
  const worker = new Worker(new URL('../support/cache-reader.js', import.meta.url), {
    workerData: order,
  });
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.on('message', (message: ReaderEnd | ReaderWant) => {
      if ('wrong' in message) resolve(message);
      else {
        fetcher
          .want(0, message.first, message.last)
          .then(() => worker.postMessage(message.id), reject);
      }
    });
  });
}

/** Repeats `work` while the readers run. @returns how often, and what the readers found */
async function disturb(
  blob: CachedBlob,
  reads: number,
  work: () => Promise<void>,
): Promise<{ ends: ReaderEnd[]; times: number }> {
  const readers = Array.from({ length: READERS }, (_, i) => startReader(blob, SEED + i, reads));
  const run = { isOver: false, times: 0 };
  const ends = Promise.all(readers).finally(() => {
    run.isOver = true;
  });
  while (!run.isOver) {
    await work();
    run.times++;
    await turn();
  }
  return { ends: await ends, times: run.times };
}

function check(t: Test, blob: CachedBlob, reads: number, ends: readonly ReaderEnd[]): void {
  t.same(
    ends.map(({ wrong }) => wrong),
    [0, 0],
  );
  const gone = ends.reduce((sum, end) => sum + end.gone, 0);
  t.ok(gone < (READERS * reads) / 100, `${gone} reads were given up`);
  const repeats = blob.map.counted(MAP_REPEATS);
  t.comment(`${READERS * reads} reads, ${blob.map.counted(MAP_HITS)} hits, ${repeats} repeated`);
}

await test('holes are punched under readers', async (t) => {
  const store = await openStore(t, { cacheFolder: t.testdir() });
  const blob = await store.blob(refOf(CONTENT));
  if (!(blob instanceof StoredBlob)) throw new Error('another kind of blob');
  const next = seededRandom(SEED);
  let punched = 0;
  const { ends } = await disturb(blob, READS.holes, async () => {
    const first = next() % CHUNKS;
    punched += await blob.evict((chunk) => chunk >= first && chunk < first + 8, 8 * CHUNK_SIZE);
  });
  t.ok(punched > CONTENT.length, `${punched} bytes were punched`);
  check(t, blob, READS.holes, ends);
});

await test('slots change their owners under readers', async (t) => {
  const store = await openStore(t, { cacheFolder: '/proc/no-cache-here' });
  const blob = await store.blob(refOf(CONTENT));
  const next = seededRandom(SEED);
  const others = 600;
  const other = await store.blob(refOf(randomBytes(5, others * CHUNK_SIZE)));
  const noise = Buffer.alloc(CHUNK_SIZE, 0xee);
  const { ends, times } = await disturb(blob, READS.slots, async () => {
    const chunk = next() % others;
    if (other.map.has(chunk)) other.drop(chunk, chunk);
    if (other.begin(chunk)) await other.write(chunk, noise);
  });
  t.ok(times > 2 * SLOTS, `${times} chunks took slots`);
  check(t, blob, READS.slots, ends);
});
