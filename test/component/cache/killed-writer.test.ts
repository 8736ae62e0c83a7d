// A process that is killed while it fills the cache, and a disk that has lost some of what was written: never
// a wrong byte, and what is whole is not fetched again.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { CachedSource } from '../../../daemon/blob/cached-source.js';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import { readFully } from '../../../daemon/blob/source.js';
import { BufferFetcher, openStore, refOf } from '../../support/cached-blobs.js';
import { usualOrLong } from '../../support/long-tests.js';
import { randomBytes, seededRandom } from '../../support/pattern.js';
import { SEED } from '../../support/seed.js';

const WRITER = fileURLToPath(new URL('../../support/cache-writer.js', import.meta.url));
const CONTENT_SEED = 23;
const CHUNKS = 40;
const CONTENT = randomBytes(CONTENT_SEED, CHUNKS * CHUNK_SIZE - 77);
const KILLS = usualOrLong(6, 12);

/** Starts a writer and kills it when it has stored this many chunks. @returns how many it has reported */
async function killWriter(folder: string, seed: number, after: number): Promise<number> {
  const writer = fork(WRITER, [folder, CONTENT_SEED, CONTENT.length, seed].map(String));
  let stored = 0;
  writer.on('message', (count: number) => {
    stored = count;
    if (stored >= after) writer.kill('SIGKILL');
  });
  await once(writer, 'exit');
  return stored;
}

function dataFile(folder: string): string {
  const digits = refOf(CONTENT).digest.slice('sha256:'.length);
  const shelf = join(folder, 'v1/blobs/sha256', digits.slice(0, 2));
  return join(shelf, readdirSync(shelf).find((name) => name.endsWith('.data')) ?? '');
}

await test(`killed ${KILLS} times, chunks zeroed in between`, async (t) => {
  const folder = t.testdir();
  const next = seededRandom(SEED);
  for (let kill = 0; kill < KILLS; kill++) {
    // One folder for three rounds, so that a writer finds what another left behind.
    const round = join(folder, String(Math.floor(kill / 3)));
    const stored = await killWriter(round, next(), 1 + (next() % CHUNKS));
    const zeroed = new Set<number>();
    const fd = openSync(dataFile(round), 'r+');
    for (let i = next() % 6; i > 0; i--) {
      const chunk = next() % CHUNKS;
      zeroed.add(chunk);
      const length = Math.min(CHUNK_SIZE, CONTENT.length - chunk * CHUNK_SIZE);
      writeSync(fd, Buffer.alloc(length), 0, length, chunk * CHUNK_SIZE);
    }
    closeSync(fd);
    const store = await openStore(t, { cacheFolder: round });
    const blob = await store.blob(refOf(CONTENT));
    const fetcher = new BufferFetcher(blob, CONTENT);
    const source = new CachedSource(blob.spec, fetcher);
    const same = (await readFully(source, 0, CONTENT.length)).equals(CONTENT);
    const most = CHUNKS - stored + zeroed.size;
    t.ok(
      same && fetcher.fetched.length <= most,
      `kill ${kill}: ${fetcher.fetched.length} of ${most}`,
    );
    // The next writer of this folder has something to do.
    if (kill % 3 !== 2) blob.drop(0, next() % CHUNKS);
    await store.close();
  }
});

await test('the locks of a process that is killed end', async (t) => {
  const folder = t.testdir();
  const writer = fork(WRITER, [folder, CONTENT_SEED, CONTENT.length, 1].map(String));
  await once(writer, 'message');
  const store = await openStore(t, { cacheFolder: folder });
  const digest = refOf(CONTENT).digest;
  await t.rejects(store.remove(digest), { code: 'BUSY' });
  t.match(await store.list(), [{ digest, isUsed: true, isComplete: false, size: CONTENT.length }]);
  writer.kill('SIGKILL');
  await once(writer, 'exit');
  t.match(await store.list(), [{ isUsed: false }]);
  await store.remove(digest);
  t.same(await store.list(), []);
});

await test('two processes fill one blob, and one is killed on the way', async (t) => {
  const folder = t.testdir();
  const store = await openStore(t, { cacheFolder: folder });
  const blob = await store.blob(refOf(CONTENT));
  const fetcher = new BufferFetcher(blob, CONTENT);
  const killed = killWriter(folder, 5, CHUNKS / 4);
  const source = new CachedSource(blob.spec, fetcher);
  await killed;
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
  t.ok(fetcher.fetched.length <= CHUNKS - CHUNKS / 4, `${fetcher.fetched.length} fetched`);
  t.equal(await blob.complete(), 'complete');
});
