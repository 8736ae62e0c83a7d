// Eviction: in which order things go, what stays, and what happens when nothing can go.
import { existsSync, utimesSync, readdirSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { CachedSource } from '../../../daemon/blob/cached-source.js';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import { readFully } from '../../../daemon/blob/source.js';
import type { CachedBlob } from '../../../daemon/cache/cached-blob.js';
import { pinnedTail, PINNED_HEAD } from '../../../daemon/cache/evictor.js';
import { LayerRecords } from '../../../daemon/cache/layer-records.js';
import { PlainCopies } from '../../../daemon/cache/plain-copies.js';
import type { CacheStore } from '../../../daemon/cache/store.js';
import { bytesIn } from '../../support/bytes-on-disk.js';
import {
  BufferFetcher,
  chunkOfContent,
  openStore,
  refOf,
  releaseAll,
  silentLog,
} from '../../support/cached-blobs.js';
import { randomBytes } from '../../support/pattern.js';

const CHUNKS = 20;
const SIZE = CHUNKS * CHUNK_SIZE;
const CONTENTS = [1, 2, 3, 4, 5, 6].map((seed) => randomBytes(seed, SIZE));
const contentOf = (n: number): Buffer => CONTENTS[n] as Buffer;

async function fill(store: CacheStore, n: number): Promise<CachedBlob> {
  const blob = await store.blob(refOf(contentOf(n)));
  await new BufferFetcher(blob, contentOf(n)).want(0, 0, CHUNKS - 1);
  return blob;
}

/** Makes the files of a blob as old as if it had been used `hours` ago. */
function age(folder: string, n: number, hours: number): void {
  const digits = refOf(contentOf(n)).digest.slice('sha256:'.length);
  const shelf = join(folder, 'v1/blobs/sha256', digits.slice(0, 2));
  const at = new Date(Date.now() - hours * 3_600_000);
  for (const name of readdirSync(shelf)) {
    if (name.startsWith(digits)) utimesSync(join(shelf, name), at, at);
  }
}

async function digestsOf(store: CacheStore): Promise<string[]> {
  return (await store.list()).map(({ digest }) => digest);
}

/** A store with four filled blobs; the last two are open. */
async function setUp(t: Test): Promise<{ folder: string; store: CacheStore; open: CachedBlob[] }> {
  const folder = t.testdir();
  const store = await openStore(t, { cacheFolder: folder });
  const blobs: CachedBlob[] = [];
  for (const n of [0, 1, 2, 3]) blobs.push(await fill(store, n));
  await releaseAll(folder, blobs.slice(0, 2));
  // Until the touches of the releases are done.
  await store.gc();
  return { folder, store, open: blobs.slice(2) };
}

const settings = (cacheSize: number | null, cacheMinFree = 0) => ({
  cacheFolder: null,
  cacheSize,
  cacheMinFree,
});

await test('the tail that stays', (t) => {
  t.equal(pinnedTail(CHUNK_SIZE), 0);
  t.equal(pinnedTail(100 * CHUNK_SIZE), 97);
  t.equal(pinnedTail(1 << 30), 16384 - 86 - 1, 'a 192nd');
  t.equal(pinnedTail(2 ** 40), 2 ** 24 - 128 - 1, '8 MiB at the most');
  t.end();
});

await test('the least recently used of the unused blobs goes first', async (t) => {
  const { folder, store } = await setUp(t);
  age(folder, 0, 5);
  age(folder, 1, 9);
  // Over 90 % with four of them, below 80 % with three.
  store.update(settings((4.1 * SIZE) | 0));
  await store.gc();
  const left = await digestsOf(store);
  t.notOk(left.includes(refOf(contentOf(1)).digest));
  t.ok(left.includes(refOf(contentOf(0)).digest));
  t.equal(left.length, 3);
  t.ok(store.status().bytes < 3.3 * SIZE);
  t.ok(store.status().evictedBytes >= SIZE);
});

await test('nothing goes below the limit', async (t) => {
  const { store } = await setUp(t);
  store.update(settings(5 * SIZE));
  await store.gc();
  t.equal((await store.list()).length, 4);
  t.equal(store.status().evictedBytes, 0);
});

await test('then chunks of open blobs, but not their edges; they can be read again', async (t) => {
  const { store, open } = await setUp(t);
  store.update(settings(SIZE));
  await store.gc();
  t.equal((await store.list()).length, 2, 'the unused ones are gone');
  t.ok(store.status().bytes <= SIZE, 'the disk has the bytes back');
  for (const [i, blob] of open.entries()) {
    t.ok(blob.map.hasAll(0, PINNED_HEAD - 1), 'the head');
    t.ok(blob.map.hasAll(pinnedTail(SIZE), CHUNKS - 1), 'the tail');
    t.ok(blob.map.count() < CHUNKS, `${blob.map.count()} chunks are left`);
    const fetcher = new BufferFetcher(blob, contentOf(i + 2));
    const source = new CachedSource(blob.spec, fetcher);
    t.ok((await readFully(source, 0, SIZE)).equals(contentOf(i + 2)));
  }
});

await test('a chunk that is used stays longer than one that is not', async (t) => {
  const { store, open } = await setUp(t);
  const [blob] = open;
  for (const each of open) for (let chunk = 0; chunk < CHUNKS; chunk++) each.map.takeTouch(chunk);
  blob?.map.touch(5, 8);
  store.update(settings(2 * SIZE));
  await store.gc();
  t.ok(blob?.map.hasAll(5, 8));
  t.notOk(blob?.map.has(4));
});

await test('records go last', async (t) => {
  const { folder, store, open } = await setUp(t);
  const records = new LayerRecords({ folder, limit: null });
  const key = { kind: 'layer', digits: 'a'.repeat(64) } as const;
  await records.put(key, Buffer.alloc(4 * CHUNK_SIZE));
  const path = join(folder, 'v1/layers', `${key.digits}.layer`);
  const yesterday = new Date(Date.now() - 24 * 3_600_000);
  utimesSync(path, yesterday, yesterday);
  store.update(settings(2 * SIZE));
  await store.gc();
  t.ok(
    open.some((blob) => blob.map.count() < CHUNKS),
    'chunks of open blobs were taken',
  );
  t.ok(existsSync(path), 'the record that was used least recently was not');
  store.update(settings(CHUNK_SIZE));
  await store.gc();
  t.notOk(existsSync(path), 'if that is not enough');
});

await test('room that is made for a record is not for chunks', async (t) => {
  const { folder, store, open } = await setUp(t);
  const { bavail, bsize } = statfsSync(folder);
  // As if the disk had no room for it.
  t.match(await store.makeRoom(bavail * bsize + 2 ** 40, 'file'), /are free on its disk/);
  t.equal((await store.list()).length, 2, 'the unused ones are gone');
  const [blob] = open;
  t.ok(blob && blob.map.count() < CHUNKS);
  t.match(store.status().degraded, /less than .* are free on its disk/);
  if (blob) await new BufferFetcher(blob, contentOf(2)).want(0, 0, CHUNKS - 1);
  t.ok(blob?.map.hasSlots, 'chunks go to memory meanwhile');
});

await test('complete blobs that are open are left alone', async (t) => {
  const { store, open } = await setUp(t);
  t.same(await Promise.all(open.map((blob) => blob.complete())), ['complete', 'complete']);
  store.update(settings(SIZE));
  await store.gc();
  t.ok(open.every((blob) => blob.map.hasAll(0, CHUNKS - 1)));
});

await test('when all that is there is in use, chunks go to memory, and reads go on', async (t) => {
  const lines: string[] = [];
  const folder = t.testdir();
  const store = await openStore(t, { cacheFolder: folder, cacheSize: 2 * SIZE }, silentLog(lines));
  const first = await fill(store, 0);
  const second = await fill(store, 1);
  await Promise.all([first.complete(), second.complete()]);
  await store.gc();
  const third = await fill(store, 2);
  t.ok(third.map.hasSlots);
  const source = new CachedSource(third.spec, new BufferFetcher(third, contentOf(2)));
  t.ok((await readFully(source, 0, SIZE)).equals(contentOf(2)));
  t.match(store.status().degraded, /the limit of 2.5 MiB is reached/);
  t.equal(lines.filter((line) => line.includes('the limit of')).length, 1, 'one line');
  t.ok(store.status().bytes < 2.3 * SIZE);
  await releaseAll(folder, [first, second]);
  await store.gc();
  t.equal(store.status().degraded, null);
});

await test('a disk that is too full gets nothing', async (t) => {
  const store = await openStore(t, { cacheFolder: t.testdir(), cacheMinFree: 2 ** 60 });
  await store.gc();
  const blob = await fill(store, 0);
  t.ok(blob.map.hasSlots);
  t.match(store.status().degraded, /less than 1024.0 PiB are free on its disk/);
});

await test('what another store has open stays, also its chunks', async (t) => {
  const { folder, store, open } = await setUp(t);
  const other = await openStore(t, { cacheFolder: folder });
  const theirs = await other.blob(refOf(contentOf(0)));
  const shared = await other.blob(refOf(contentOf(2)));
  store.update(settings(SIZE));
  await store.gc();
  const digests = await digestsOf(store);
  t.ok(digests.includes(refOf(contentOf(0)).digest));
  t.notOk(digests.includes(refOf(contentOf(1)).digest));
  t.equal(open[0]?.map.count(), CHUNKS, 'the other store reads it, too');
  t.ok((open[1]?.map.count() ?? CHUNKS) < CHUNKS);
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    t.ok((await theirs.present(chunk)) && (await shared.present(chunk)));
  }
});

await test('a blob that another store has completed is never punched', async (t) => {
  const folder = t.testdir();
  const store = await openStore(t, { cacheFolder: folder });
  const other = await openStore(t, { cacheFolder: folder });
  const blob = await fill(store, 0);
  const theirs = await other.blob(refOf(contentOf(0)));
  for (let chunk = 0; chunk < CHUNKS; chunk++) await theirs.present(chunk);
  t.equal(await theirs.complete(), 'complete');
  theirs.release();
  store.update(settings(SIZE / 2));
  await store.gc();
  await store.gc();
  t.equal(blob.map.count(), CHUNKS);
  const again = await other.blob(refOf(contentOf(0)));
  t.ok(again.map.isComplete);
  const source = new CachedSource(again.spec, new BufferFetcher(again, Buffer.alloc(SIZE)));
  t.ok((await readFully(source, 0, SIZE)).equals(contentOf(0)));
  const digits = refOf(contentOf(0)).digest.slice('sha256:'.length);
  const path = join(folder, 'v1/blobs/sha256', digits.slice(0, 2), `${digits}.blob`);
  t.ok(statSync(path).blocks * 512 >= SIZE);
});

await test('an end and a start leave what the next images need, however small the limit', async (t) => {
  const { folder, store, open } = await setUp(t);
  store.update(settings(SIZE));
  await store.gc();
  for (const blob of open) blob.release();
  await store.close();
  const next = await openStore(t, { cacheFolder: folder, cacheSize: CHUNK_SIZE });
  for (const n of [2, 3]) {
    const blob = await next.blob(refOf(contentOf(n)));
    for (const chunk of [0, PINNED_HEAD - 1, pinnedTail(SIZE), CHUNKS - 1]) {
      t.ok(await blob.present(chunk), `blob ${n}, chunk ${chunk}`);
    }
  }
  t.equal(next.status().evictedBytes, 0);
});

await test('room for a file that grows is counted before the file has it', async (t) => {
  const { folder, store, open } = await setUp(t);
  age(folder, 0, 9);
  store.update(settings(6 * SIZE));
  t.equal(await store.makeRoom(SIZE, 'copy'), null);
  t.equal((await store.list()).length, 4, 'five of six are below 90 %');
  t.equal(await store.makeRoom(2 * SIZE, 'copy'), null);
  t.notOk((await digestsOf(store)).includes(refOf(contentOf(0)).digest), 'instead of the first');
  t.equal(await store.makeRoom(0, 'copy'), null);
  // What is in use stays.
  t.same(await Promise.all(open.map((blob) => blob.complete())), ['complete', 'complete']);
  t.match(await store.makeRoom(5 * SIZE, 'copy'), /the limit of .* is reached/);
  t.equal((await store.list()).length, 2);
  t.match(store.status().degraded, /the limit of .* is reached, and all that is there is in use/);
  t.equal(await store.makeRoom(0, 'copy'), null, 'the file grows no more');
});

await test('of two that ask at once and do not fit together, the first one has room', async (t) => {
  const { store } = await setUp(t);
  store.update(settings(6 * SIZE));
  const ask = (file: string): Promise<string | null> => store.makeRoom(3 * SIZE, file);
  const [first, second] = await Promise.all([ask('a'), ask('b')]);
  t.equal(first, null);
  t.match(second, /the limit of .* is reached/);
  t.equal(await store.makeRoom(3 * SIZE, 'a'), null, 'it goes on');
  t.match(await ask('b'), /the limit of .* is reached/);
  t.equal(await store.makeRoom(0, 'a'), null);
  t.equal(await ask('b'), null);
});

await test('a copy that grows is counted without a look at all files, until there may be too much', async (t) => {
  const { folder, store } = await setUp(t);
  store.update(settings(20 * SIZE));
  const copy = join(folder, 'copy');
  t.equal(await store.makeRoom(SIZE, copy), null);
  const counted = store.status().bytes;
  // It is counted when all files are looked at.
  const other = join(folder, 'v1/layers', `${'a'.repeat(64)}.layer`);
  writeFileSync(other, Buffer.alloc(SIZE));
  for (let step = 1; step <= 5; step++) {
    writeFileSync(copy, Buffer.alloc(step * SIZE, 1));
    t.equal(await store.makeRoom(SIZE, copy), null);
    t.equal(store.status().bytes, counted + step * SIZE);
  }
  t.equal(await store.makeRoom(10 * SIZE, copy), null);
  const looked = store.status().bytes;
  t.ok(looked >= counted + SIZE && looked < counted + 2 * SIZE, `${looked} of ${counted}`);
  // As if it began again.
  writeFileSync(copy, '');
  t.equal(await store.makeRoom(SIZE, copy), null);
  t.equal(store.status().bytes, looked - 5 * SIZE);
  t.equal(await store.makeRoom(0, copy), null);
  t.equal(store.status().bytes, looked, 'what it has is counted with the folder');
});

await test('two copies, chunks and records at the same time are never more than the limit', async (t) => {
  const folder = t.testdir();
  const limit = 12 << 20;
  const store = await openStore(t, { cacheFolder: folder, cacheSize: limit });
  const place = { folder, limit };
  const ask = (bytes: number, file: string): Promise<string | null> => store.makeRoom(bytes, file);
  const most = { all: 0, copies: 0 };
  const look = (): void => {
    most.all = Math.max(most.all, bytesIn(folder));
    const copies = readdirSync(join(folder, 'v1/layers')).filter((name) => name.includes('.plain'));
    const bytes = copies.map((name) => {
      const path = join(folder, 'v1/layers', name);
      return (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
    });
    const sum = bytes.reduce((all, each) => all + each, 0);
    most.copies = Math.max(most.copies, sum);
  };
  /** Up to 5 MiB, of the 6 MiB that all copies may have. */
  const copying = async (digit: string): Promise<string> => {
    const key = { kind: 'file', digits: digit.repeat(64) } as const;
    const copy = await new PlainCopies(place, ask).begin(key, 'layer');
    try {
      for (let at = 0; at < 5 << 20; at += 1 << 18) {
        await copy.write(at, randomBytes(at + 1, 1 << 18));
        look();
      }
      await copy.keep();
      return 'kept';
    } catch (error) {
      await copy.discard();
      return String(error);
    } finally {
      look();
    }
  };
  const chunks = async (): Promise<void> => {
    for (const n of [0, 1, 2, 3, 4, 5]) {
      const blob = await fill(store, n);
      look();
      blob.release();
    }
  };
  const recording = async (): Promise<void> => {
    const records = new LayerRecords(place, ask);
    for (const digit of ['1', '2', '3', '4']) {
      await records.put({ kind: 'layer', digits: digit.repeat(64) }, randomBytes(1, 500_000));
      look();
    }
  };
  const [a, b] = await Promise.all([copying('a'), copying('b'), chunks(), recording()]);
  const refused = [a, b].filter((each) => each !== 'kept');
  t.ok(refused.length >= 1, 'both have no room');
  for (const each of refused) t.match(each, /layer: a zstd frame is too long/);
  t.ok(most.copies <= limit / 2, `${most.copies} bytes of copies`);
  t.ok(most.all <= limit, `${most.all} bytes of ${limit}`);
  t.equal(await copying('a'), 'kept', 'one alone has room');
  t.ok(most.all <= limit, `${most.all} bytes of ${limit}`);
});

await test('chunks that are on their way to the disk count', async (t) => {
  const folder = t.testdir();
  const limit = 40 * CHUNK_SIZE;
  const store = await openStore(t, { cacheFolder: folder, cacheSize: limit });
  const blobs = await Promise.all([0, 1, 2, 3].map((n) => store.blob(refOf(contentOf(n)))));
  // All at once: none is stored when the last one begins.
  await Promise.all(
    blobs.flatMap((blob, n) =>
      Array.from({ length: CHUNKS }, (_, chunk) => {
        t.ok(blob.begin(chunk));
        return blob.write(chunk, chunkOfContent(contentOf(n), chunk));
      }),
    ),
  );
  t.ok(bytesIn(folder) <= limit, `${bytesIn(folder)} of ${limit}`);
  t.ok(
    blobs.some(({ map }) => map.hasSlots),
    'the rest is in memory',
  );
});

await test('what a writer that was killed left is counted, and makes room', async (t) => {
  const { folder, store } = await setUp(t);
  const layers = join(folder, 'v1/layers');
  const left = join(layers, `${'a'.repeat(64)}.layer.${'0'.repeat(16)}.tmp`);
  writeFileSync(left, Buffer.alloc(2 * SIZE, 1));
  await store.manifests.put(refOf(contentOf(0)).digest, contentOf(0));
  await store.gc();
  t.ok(store.status().bytes >= 7 * SIZE, 'and a manifest');
  const [check] = (await store.verify()).filter(({ what }) => what === 'record');
  t.equal(check, undefined, 'it is no record');
  t.ok(existsSync(left), 'it may be written still');
  utimesSync(left, 1, 1);
  store.update(settings(CHUNK_SIZE));
  await store.gc();
  t.notOk(existsSync(left));
});
