// One open blob: who fetches a chunk, what a drop does to a write that is under way, and how a store goes on
// with the blobs of one that died. More of it is tested through the store.
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { test, type Test } from 'tap';
import { CachedSource, type CachedSpec } from '../../../daemon/blob/cached-source.js';
import { ChunkDigester, type ChunkDigests } from '../../../daemon/blob/chunk-digests.js';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import { readFully } from '../../../daemon/blob/source.js';
import { Evictor } from '../../../daemon/cache/evictor.js';
import { StoredBlob } from '../../../daemon/cache/stored-blob.js';
import { files } from '../../../daemon/native/file.js';
import { BufferFetcher, chunkOfContent, openStore, refOf } from '../../support/cached-blobs.js';
import { randomBytes } from '../../support/pattern.js';
import { deferred } from '../../support/deferred.js';

const CHUNKS = 12;
const CONTENT_SEED = 41;
const CONTENT = randomBytes(CONTENT_SEED, CHUNKS * CHUNK_SIZE - 9);
const REF = refOf(CONTENT);

await test('a write needs begin(), and all bytes of its chunk', async (t) => {
  const store = await openStore(t, { cacheFolder: t.testdir() });
  const blob = await store.blob(REF);
  await t.rejects(blob.write(0, chunkOfContent(CONTENT, 0)), { code: 'BUG' });
  t.ok(blob.begin(0));
  await t.rejects(blob.write(0, Buffer.alloc(5)), { code: 'BUG' });
  t.notOk(blob.begin(0), 'it is still begun');
  await blob.write(0, chunkOfContent(CONTENT, 0));
  t.ok(blob.map.has(0));
  t.notOk(blob.begin(0), 'it is there');
  t.ok(blob.begin(1));
  blob.giveUp(1);
  blob.giveUp(1);
  t.ok(blob.begin(1), 'after it was given up');
});

await test('a chunk that is dropped while it is written is not kept', async (t) => {
  const folder = t.testdir();
  const store = await openStore(t, { cacheFolder: folder });
  const blob = await store.blob(REF);
  blob.begin(3);
  const writing = blob.write(3, Buffer.alloc(CHUNK_SIZE, 0xbb));
  blob.drop(3, 3);
  await writing;
  t.notOk(blob.map.has(3));
  t.equal(await blob.present(3), false, 'its record is gone, too');
  t.ok(blob.begin(3));
  await blob.write(3, chunkOfContent(CONTENT, 3));
  blob.release();
  await store.close();
  const again = await openStore(t, { cacheFolder: folder });
  const reopened = await again.blob(REF);
  t.equal(await reopened.present(3), true);
});

await test('what is dropped is not there after a restart', async (t) => {
  const folder = t.testdir();
  const store = await openStore(t, { cacheFolder: folder });
  const blob = await store.blob(REF);
  await new BufferFetcher(blob, CONTENT).want(0, 0, CHUNKS - 1);
  blob.drop(2, 5);
  t.equal(blob.map.count(), CHUNKS - 4);
  blob.release();
  await store.close();
  const again = await openStore(t, { cacheFolder: folder });
  const reopened = await again.blob(REF);
  const present = await Promise.all(
    Array.from({ length: CHUNKS }, (_, chunk) => reopened.present(chunk)),
  );
  t.same(present, [true, true, false, false, false, false, true, true, true, true, true, true]);
});

const digestsOf = (content: Buffer): ChunkDigests => {
  const digester = new ChunkDigester(content.length);
  digester.update(content);
  return digester.digests;
};

await test('a chunk that is not what it was is not kept', async (t) => {
  const store = await openStore(t, { cacheFolder: t.testdir() });
  const blob = await store.blob(REF);
  blob.setDigests(digestsOf(CONTENT), null);
  t.ok(blob.begin(3));
  const other = Buffer.from(chunkOfContent(CONTENT, 3));
  other[77] = (other[77] as number) ^ 1;
  const range = `${3 * CHUNK_SIZE}-${4 * CHUNK_SIZE - 1}`;
  await t.rejects(blob.write(3, other), {
    code: 'BAD_CHECKSUM',
    message:
      /: chunk 3 \(bytes \d+-\d+\): expected SHA-256 \w{32}\.\.\. as when .*, got \w{32}\.\.\./,
    facts: { digest: REF.digest, range },
  });
  t.notOk(blob.map.has(3));
  blob.giveUp(3);
  t.equal(await blob.present(3), false);
  await new BufferFetcher(blob, CONTENT).want(0, 0, CHUNKS - 1);
  t.ok(blob.map.hasAll(0, CHUNKS - 1));
  if (!(blob instanceof StoredBlob)) throw new Error('a blob of a store');
  t.equal(await blob.evict((chunk) => chunk === 3, CHUNK_SIZE), CHUNK_SIZE);
  t.ok(blob.begin(3));
  await t.rejects(blob.write(3, other), { code: 'BAD_CHECKSUM' }, 'nor after it was evicted');
  blob.giveUp(3);
});

await test('what was stored before its digests were known is checked before it is read', async (t) => {
  const folder = t.testdir();
  const other = Buffer.from(CONTENT);
  other[2 * CHUNK_SIZE] = (other[2 * CHUNK_SIZE] as number) ^ 1;
  const store = await openStore(t, { cacheFolder: folder });
  const blob = await store.blob(REF);
  await new BufferFetcher(blob, other).want(0, 0, 5);
  const { generation } = blob.map;
  // Nothing has changed since they were hashed.
  blob.setDigests(digestsOf(other), generation);
  t.ok(blob.map.hasAll(0, 5));
  // They were fetched by a reading that hashed other bytes, as after an eviction.
  const [late, dropped] = [7, 8];
  t.ok(blob.begin(late));
  const writing = blob.write(late, chunkOfContent(CONTENT, late));
  blob.setDigests(digestsOf(CONTENT), null);
  t.equal(blob.map.count(), 0);
  await writing;
  t.equal(blob.map.count(), 0, 'nor what was being written');
  t.same(await Promise.all([1, 2, 3, late, dropped].map((chunk) => blob.present(chunk))), [
    true,
    false,
    true,
    false,
    false,
  ]);
  t.equal(store.status().corrupt, 1);
  blob.setDigests(digestsOf(CONTENT), null);
  t.ok(blob.map.has(1), 'those that are known already doubt nothing');
  const fetcher = new BufferFetcher(blob, CONTENT);
  await fetcher.want(0, 0, CHUNKS - 1);
  t.same(fetcher.fetched, [2, 6, 7, 8, 9, 10, 11]);
  t.equal(await blob.complete(), 'complete');
  blob.setDigests(digestsOf(other), null);
  t.ok(blob.map.isComplete && blob.map.hasAll(0, CHUNKS - 1), 'its SHA-256 was checked');
});

await test('many questions about one chunk are one check', async (t) => {
  const folder = t.testdir();
  const store = await openStore(t, { cacheFolder: folder });
  const blob = await store.blob(REF);
  await new BufferFetcher(blob, CONTENT).want(0, 0, 3);
  blob.release();
  await store.close();
  const again = await openStore(t, { cacheFolder: folder });
  const reopened = await again.blob(REF);
  const answers = Promise.all([1, 1, 1, 7].map((chunk) => reopened.present(chunk)));
  t.notOk(reopened.begin(1), 'not while it is checked');
  t.same(await answers, [true, true, true, false]);
});

await test('the same blob opened twice is one, until both have released it', async (t) => {
  const store = await openStore(t, { cacheFolder: t.testdir() });
  const [one, two] = await Promise.all([store.blob(REF), store.blob(REF)]);
  t.equal(one, two);
  t.equal(store.status().blobs, 1);
  one?.release();
  t.equal(store.status().blobs, 1);
  two?.release();
  t.equal(store.status().blobs, 0);
  const three = await store.blob(REF);
  t.not(three.spec.blob, one?.spec.blob, 'a number is used once');
});

await test('a store goes on with the blobs of one whose thread died', async (t) => {
  const folder = t.testdir();
  const before = files.deadline();
  files.deadline(200);
  t.teardown(() => files.deadline(before));
  const script = fileURLToPath(new URL('../../support/dying-store.js', import.meta.url));
  const thread = new Worker(script, {
    workerData: { folder, contentSeed: CONTENT_SEED, size: CONTENT.length },
  });
  const [[spec, memorySpec]] = (await once(thread, 'message')) as [[CachedSpec, CachedSpec]];
  await thread.terminate();

  const store = await openStore(t, { cacheFolder: folder });
  const [blob, inMemory] = await Promise.all([
    store.blob(REF, spec),
    store.blob({ ...REF, digest: memorySpec.digest }, memorySpec),
  ]);
  t.equal(blob.spec, spec);
  t.ok(blob.map.hasAll(0, 3), 'what was there');
  const fetcher = new BufferFetcher(blob, CONTENT);
  const source = new CachedSource(spec, fetcher);
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
  t.same(
    fetcher.fetched,
    [4, 5, 6, 7, 8, 9, 10, 11],
    'also the chunk that the dead thread had begun',
  );
  t.ok(blob.map.slotOf(5) >= 0, 'not into the file, as long as old jobs may run');

  t.ok(inMemory.map.has(0), 'the memory of the other store goes on');
  const byte = Buffer.alloc(1);
  const reader = new CachedSource(memorySpec, new BufferFetcher(inMemory, CONTENT));
  t.ok(reader.read(0, 1, byte, 0));
  t.equal(byte[0], CONTENT[0]);
  const fresh = await store.blob(refOf(CONTENT.subarray(1)));
  t.ok(fresh.spec.blob > Math.max(spec.blob, memorySpec.blob));

  if (!(blob instanceof StoredBlob)) throw new Error('another kind of blob');
  blob.settle();
  blob.drop(5, 5);
  while (!blob.begin(5)) await new Promise((resolve) => setTimeout(resolve, 1));
  await blob.write(5, chunkOfContent(CONTENT, 5));
  t.equal(blob.map.slotOf(5), -1, 'into the file again');
});

/** Holds up the look at what the folder has, until the returned function is called. */
function unmeasured(t: Test): () => void {
  const real = Object.getOwnPropertyDescriptor(Evictor.prototype, 'measured') as PropertyDescriptor;
  const { promise: measured, resolve: end } = deferred();
  Object.defineProperty(Evictor.prototype, 'measured', { ...real, get: () => measured });
  const restore = (): void => {
    Object.defineProperty(Evictor.prototype, 'measured', real);
    end();
  };
  t.teardown(restore);
  return restore;
}

await test('while the folder is measured chunks are read from memory, and then stored', async (t) => {
  const folder = t.testdir();
  const store = await openStore(t, { cacheFolder: folder, cacheSize: 1 << 30 });
  const blob = await store.blob(REF);
  const end = unmeasured(t);
  const fetcher = new BufferFetcher(blob, CONTENT);
  const source = new CachedSource(blob.spec, fetcher);
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
  t.ok(blob.map.slotOf(3) >= 0, 'in memory');
  blob.drop(2, 2);
  t.notOk(blob.map.has(2));
  const completing = blob.complete();
  end();
  t.equal(await completing, 'missing');
  t.equal(blob.map.slotOf(3), -1, 'in the file');
  t.notOk(blob.map.has(2), 'what was dropped meanwhile is not stored');
  t.equal(await blob.present(2), false);
  await fetcher.want(0, 2, 2);
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
  t.equal(await blob.complete(), 'complete');
});

await test('what waits for the look at the folder is not stored if there is no room', async (t) => {
  const store = await openStore(t, { cacheFolder: t.testdir(), cacheSize: CHUNK_SIZE });
  const blob = await store.blob(REF);
  const end = unmeasured(t);
  const fetcher = new BufferFetcher(blob, CONTENT);
  await fetcher.want(0, 0, CHUNKS - 1);
  end();
  t.equal(await blob.complete(), 'in memory');
  const source = new CachedSource(blob.spec, fetcher);
  t.ok((await readFully(source, 0, CONTENT.length)).equals(CONTENT));
  t.equal(fetcher.fetched.length, CHUNKS, 'none was fetched again');
});
