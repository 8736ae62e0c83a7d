// The store: what is kept across restarts, what is not believed, two stores on one folder, and what happens
// without a disk that works.
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { test } from 'tap';
import { CachedSource } from '../../../daemon/blob/cached-source.js';
import { CHUNK_SIZE, ChunkMap } from '../../../daemon/blob/chunk-map.js';
import { readFully } from '../../../daemon/blob/source.js';
import { recordPosition } from '../../../daemon/cache/state-file.js';
import {
  BufferFetcher,
  chunkOfContent,
  openStore,
  refOf,
  silentLog,
} from '../../support/cached-blobs.js';
import { tick } from '../../support/nbd-client.js';
import { randomBytes } from '../../support/pattern.js';

const CONTENT = randomBytes(3, 10 * CHUNK_SIZE + 1000);
const REF = refOf(CONTENT);
const CHUNKS = 11;

/** Paths of the files of blobs, by the ends of their names. */
function blobFiles(folder: string): Record<string, string> {
  const digits = REF.digest.slice('sha256:'.length);
  const shelf = join(folder, 'v1/blobs/sha256', digits.slice(0, 2));
  return Object.fromEntries(
    readdirSync(shelf).map((name) => [name.split('.').at(-1), join(shelf, name)]),
  );
}

await test('what was fetched is there after a restart, and is not fetched again', async (t) => {
  const folder = t.testdir();
  const store = await openStore(t, { cacheFolder: folder });
  const blob = await store.blob(REF);
  const fetcher = new BufferFetcher(blob, CONTENT);
  const source = new CachedSource(blob.spec, fetcher);
  t.ok((await readFully(source, 100_000, 200_000)).equals(CONTENT.subarray(100_000, 300_000)));
  t.same(fetcher.fetched, [1, 2, 3, 4]);
  blob.release();
  await store.close();

  const again = await openStore(t, { cacheFolder: folder });
  const reopened = await again.blob(REF);
  const second = new BufferFetcher(reopened, CONTENT);
  const reader = new CachedSource(reopened.spec, second);
  t.ok((await readFully(reader, 0, CONTENT.length)).equals(CONTENT));
  t.same(second.fetched, [0, 5, 6, 7, 8, 9, 10]);
  t.equal(again.status().corrupt, 0);
});

await test('the records of a blob of many chunks are looked at in turns, and not after its end', async (t) => {
  const store = await openStore(t, { cacheFolder: t.testdir() });
  // A million chunks.
  const size = 2 ** 36;
  const seen = { inTurn: 0, most: 0, all: 0 };
  const original = Object.getOwnPropertyDescriptor(ChunkMap.prototype, 'has') ?? {};
  const has = original.value as (this: ChunkMap, chunk: number) => boolean;
  ChunkMap.prototype.has = function (this: ChunkMap, chunk: number): boolean {
    seen.most = Math.max(seen.most, ++seen.inTurn);
    seen.all++;
    return has.call(this, chunk);
  };
  t.teardown(() => Object.defineProperty(ChunkMap.prototype, 'has', original));
  const ended = new AbortController();
  const inTurns = (async (): Promise<void> => {
    while (!ended.signal.aborted) {
      seen.inTurn = 0;
      await nextTurn();
    }
  })();
  const blob = await store.blob({ ...REF, size });
  for (let turns = 0; seen.all < 100_000 && turns < 10_000; turns++) await nextTurn();
  t.ok(seen.all >= 100_000, `${seen.all} chunks were looked at`);
  t.ok(seen.most <= 2 * 16_384, `${seen.most} chunks in one turn`);
  blob.release();
  await tick(20);
  const before = seen.all;
  await tick(20);
  t.equal(seen.all, before);
  t.ok(seen.all < 2 ** 20, 'the rest is left');
  ended.abort();
  await inTurns;
});

await test('a second close closes no descriptor of a new owner', async (t) => {
  const folder = t.testdir();
  const store = await openStore(t, { cacheFolder: folder });
  const blob = await store.blob(REF);
  await new BufferFetcher(blob, CONTENT).want(0, 0, 0);
  await store.close();
  // The threads of the file pool close; a job that comes later has to wait for none of them.
  await tick(100);
  const others = Array.from({ length: 20 }, () => openSync(folder, 'r'));
  await store.close();
  await tick(100);
  for (const fd of others) t.doesNotThrow(() => closeSync(fd));
});

await test('zeros where a record promises data are fetched again', async (t) => {
  const folder = t.testdir();
  const store = await openStore(t, { cacheFolder: folder });
  const blob = await store.blob(REF);
  await new BufferFetcher(blob, CONTENT).want(0, 0, CHUNKS - 1);
  blob.release();
  await store.close();
  const { data = '' } = blobFiles(folder);
  const fd = openSync(data, 'r+');
  for (const chunk of [0, 4, 10]) writeSync(fd, Buffer.alloc(1000), 0, 1000, chunk * CHUNK_SIZE);
  closeSync(fd);

  const again = await openStore(t, { cacheFolder: folder });
  const reopened = await again.blob(REF);
  const fetcher = new BufferFetcher(reopened, CONTENT);
  const source = new CachedSource(reopened.spec, fetcher);
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
  t.same(fetcher.fetched, [0, 4, 10]);
  t.equal(again.status().corrupt, 3);
});

const DAMAGES: [string, (paths: Record<string, string>) => void, fetched: number][] = [
  ['another magic', ({ state = '' }) => patch(state, 0, 'X'), CHUNKS],
  ['another version', ({ state = '' }) => patch(state, 8, '\u0002'), CHUNKS],
  ['another chunk size', ({ state = '' }) => patch(state, 13, 'X'), CHUNKS],
  ['another size of the blob', ({ state = '' }) => patch(state, 16, 'X'), CHUNKS],
  ['another digest', ({ state = '' }) => patch(state, 30, 'X'), CHUNKS],
  ['another nonce', ({ state = '' }) => patch(state, 60, 'X'), CHUNKS],
  ['a record of another nonce', ({ state = '' }) => patch(state, recordPosition(2) + 5, 'X'), 1],
  ['a record with another CRC', ({ state = '' }) => patch(state, recordPosition(2), 'XY'), 1],
  ['an empty state file', ({ state = '' }) => truncateSync(state, 0), CHUNKS],
  ['a state file that is cut', ({ state = '' }) => truncateSync(state, recordPosition(3)), CHUNKS],
  ['a state file that is longer', ({ state = '' }) => truncateSync(state, 10_000), CHUNKS],
  ['a data file that is cut', ({ data = '' }) => truncateSync(data, 100_000), CHUNKS],
  ['a data file that is longer', ({ data = '' }) => truncateSync(data, 10_000_000), CHUNKS],
  ['an empty data file', ({ data = '' }) => truncateSync(data, 0), CHUNKS],
  [
    'noise for a state file',
    ({ state = '' }) => writeFileSync(state, randomBytes(8, 4184)),
    CHUNKS,
  ],
];

function patch(path: string, at: number, text: string): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, text, at, 'latin1');
  closeSync(fd);
}

for (const [name, damage, expected] of DAMAGES) {
  await test(`${name}: a miss, and never wrong bytes`, async (t) => {
    const folder = t.testdir();
    const store = await openStore(t, { cacheFolder: folder });
    const blob = await store.blob(REF);
    await new BufferFetcher(blob, CONTENT).want(0, 0, CHUNKS - 1);
    blob.release();
    await store.close();
    damage(blobFiles(folder));

    const again = await openStore(t, { cacheFolder: folder });
    const reopened = await again.blob(REF);
    const fetcher = new BufferFetcher(reopened, CONTENT);
    const source = new CachedSource(reopened.spec, fetcher);
    t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
    t.equal(fetcher.fetched.length, expected);
    t.equal(again.status().degraded, null);
  });
}

await test('a complete blob is one file under its digest, and reads without records', async (t) => {
  const folder = t.testdir();
  const store = await openStore(t, { cacheFolder: folder });
  const blob = await store.blob(REF);
  const fetcher = new BufferFetcher(blob, CONTENT);
  t.equal(await blob.complete(), 'missing', 'not while chunks are missing');
  await fetcher.want(0, 0, CHUNKS - 1);
  t.equal(await blob.complete(), 'complete');
  t.same(Object.keys(blobFiles(folder)), ['blob']);
  t.ok(readFileSync(blobFiles(folder)['blob'] ?? '').equals(CONTENT));
  const range = { fd: -1, position: -1 };
  t.ok(new CachedSource(blob.spec, fetcher).locate(70_000, 100, range));
  t.same(range, { fd: blob.spec.fd, position: 70_000 });
  blob.release();

  const reopened = await store.blob(REF);
  t.ok(reopened.map.isComplete);
  const none = new BufferFetcher(reopened, Buffer.alloc(CONTENT.length));
  const source = new CachedSource(reopened.spec, none);
  t.equal(source.ensure(0, CONTENT.length), null);
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
});

await test('bytes that do not have the digest never become complete, and are dropped', async (t) => {
  const lines: string[] = [];
  const store = await openStore(t, { cacheFolder: t.testdir() }, silentLog(lines));
  const blob = await store.blob(REF);
  const wrong = Buffer.from(CONTENT);
  wrong[200_000] = (wrong[200_000] ?? 0) ^ 1;
  await new BufferFetcher(blob, wrong).want(0, 0, CHUNKS - 1);
  t.equal(await blob.complete(), 'wrong');
  t.equal(blob.map.count(), 0);
  t.match(lines.join('\n'), /do not have this digest/);
  await new BufferFetcher(blob, CONTENT).want(0, 0, CHUNKS - 1);
  t.equal(await blob.complete(), 'complete');
});

await test('a complete blob whose bytes are wrong is fetched again, and removed', async (t) => {
  const folder = t.testdir();
  const store = await openStore(t, { cacheFolder: folder });
  const blob = await store.blob(REF);
  const fetcher = new BufferFetcher(blob, CONTENT);
  await fetcher.want(0, 0, CHUNKS - 1);
  await blob.complete();
  patch(blobFiles(folder)['blob'] ?? '', 3 * CHUNK_SIZE + 7, 'rotten');
  const source = new CachedSource(blob.spec, fetcher);
  t.notOk((await readFully(source, 0, CONTENT.length)).equals(CONTENT), 'no check has noticed yet');
  t.ok(source.distrust(3 * CHUNK_SIZE, 10));
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
  t.equal(await blob.complete(), 'in memory');
  blob.release();
  const again = await store.blob(REF);
  t.notOk(again.map.isComplete);
  t.equal(again.map.count(), 0);
});

await test('a manifest that is wrong about a size takes nothing from others', async (t) => {
  const folder = t.testdir();
  const store = await openStore(t, { cacheFolder: folder });
  const wrong = { ...REF, size: REF.size + 5 * CHUNK_SIZE };
  const first = await store.blob(REF);
  await new BufferFetcher(first, CONTENT).want(0, 0, 3);
  const liar = await store.blob(wrong);
  t.equal(liar.map.count(), 0);
  first.release();
  const second = await store.blob(REF);
  t.ok(await second.present(2));
  await new BufferFetcher(second, CONTENT).want(0, 0, CHUNKS - 1);
  t.equal(await second.complete(), 'complete');
  second.release();
  liar.release();
  const another = await store.blob(wrong);
  t.equal(another.map.count(), 0);
  t.equal(store.status().degraded, null);
  t.ok((await store.blob(REF)).map.isComplete);
});

await test('two stores on one folder: each chunk is fetched once', async (t) => {
  const folder = t.testdir();
  const stores = await Promise.all([0, 1].map(() => openStore(t, { cacheFolder: folder })));
  const blobs = await Promise.all(stores.map((store) => store.blob(REF)));
  const fetchers = blobs.map((blob) => new BufferFetcher(blob, CONTENT));
  await Promise.all(fetchers.map((fetcher) => fetcher.want(0, 0, CHUNKS - 1)));
  const all = fetchers.flatMap(({ fetched }) => fetched);
  t.same(
    all.toSorted((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  );
  for (const [i, blob] of blobs.entries()) {
    const source = new CachedSource(blob.spec, fetchers[i] as BufferFetcher);
    t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
  }
  t.same(await Promise.all(blobs.map((blob) => blob.complete())), ['complete', 'complete']);
  t.same(Object.keys(blobFiles(folder)), ['blob']);
});

await test('a chunk that another process fetches is not begun, unless it takes too long', async (t) => {
  const folder = t.testdir();
  const [one, two] = await Promise.all([0, 1].map(() => openStore(t, { cacheFolder: folder })));
  const first = await one?.blob(REF);
  const second = await two?.blob(REF);
  if (!first || !second) throw new Error('not opened');
  t.equal(first.begin(5), true);
  t.equal(first.begin(5), false, 'once at a time');
  t.equal(second.begin(5), false);
  t.equal(second.begin(6), true, 'the others are free');
  t.equal(second.begin(5, true), true, 'alone');
  await second.write(5, chunkOfContent(CONTENT, 5));
  t.ok(second.map.slotOf(5) >= 0, 'in memory: the file is not its own to write');
  t.equal(await first.present(5), false);
  first.giveUp(5);
  t.equal(first.begin(5), true);
});

await test('a folder that others may write to is not used', async (t) => {
  const folder = t.testdir();
  chmodSync(folder, 0o777);
  const lines: string[] = [];
  const store = await openStore(t, { cacheFolder: folder }, silentLog(lines));
  t.equal(store.status().folder, null);
  t.match(store.status().degraded, /mode 777; it must belong to user/);
  t.match(lines, [/kept in memory only, and reads go on/]);
  t.same(readdirSync(folder), [], 'nothing is made in it');
  const blob = await store.blob(REF);
  const source = new CachedSource(blob.spec, new BufferFetcher(blob, CONTENT));
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
});

await test('nor is one with a folder in it that others may write to', async (t) => {
  for (const inner of ['v1', 'v1/blobs', 'v1/manifests/sha256']) {
    const folder = t.testdir();
    mkdirSync(join(folder, inner), { recursive: true, mode: 0o700 });
    chmodSync(join(folder, inner), 0o777);
    // oxlint-disable-next-line no-await-in-loop
    const store = await openStore(t, { cacheFolder: folder });
    t.match(store.status().degraded, `${join(folder, inner)} belongs to user`);
  }
});
