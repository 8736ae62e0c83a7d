// Cached blobs as a source: what a reader does when chunks are missing, go away while it reads, or lie in
// memory. What all sources share is in test/contract.
import { writeSync } from 'node:fs';
import { test, type Test } from 'tap';
import { CachedSource, type ChunkFetcher } from '../../../daemon/blob/cached-source.js';
import {
  CHUNK_SIZE,
  ChunkMap,
  MAP_HITS,
  MAP_MISSES,
  MAP_REPEATS,
} from '../../../daemon/blob/chunk-map.js';
import { cacheFiles } from '../../../daemon/native/cache-file.js';
import { files } from '../../../daemon/native/file.js';
import { chunkOfContent } from '../../support/cached-blobs.js';
import { randomBytes } from '../../support/pattern.js';

const CONTENT = randomBytes(4, 4 * CHUNK_SIZE + 500);

interface Setup {
  readonly source: CachedSource;
  readonly map: ChunkMap;
  readonly fd: number;
  readonly slotsFd: number;
  /** What was asked of the fetcher. */
  readonly asked: string[];
  readonly write: (chunk: number) => void;
}

function setUp(t: Test): Setup {
  const fd = cacheFiles.memory(CONTENT.length);
  const slotsFd = cacheFiles.memory(8 * CHUNK_SIZE);
  t.teardown(() => {
    files.close(fd);
    files.close(slotsFd);
  });
  const map = ChunkMap.create(CONTENT.length);
  const asked: string[] = [];
  const write = (chunk: number): void => {
    writeSync(fd, chunkOfContent(CONTENT, chunk), 0, undefined, chunk * CHUNK_SIZE);
    map.set(chunk);
  };
  const ask = (what: string) => async (blob: number, first: number, last: number) => {
    asked.push(`${what} ${blob}: ${first}-${last}`);
    await Promise.resolve();
    for (let chunk = first; chunk <= last; chunk++) write(chunk);
  };
  const fetcher: ChunkFetcher = {
    want: ask('want'),
    refetch: ask('refetch'),
    hint: (blob, first, last) => void asked.push(`hint ${blob}: ${first}-${last}`),
    drop: (blob, first, last) => void asked.push(`drop ${blob}: ${first}-${last}`),
  };
  const { state } = map;
  const about = { name: 'blob', digest: 'sha256:00', size: CONTENT.length, blob: 9 };
  const source = new CachedSource({ kind: 'cached', ...about, fd, slotsFd, state }, fetcher);
  return { source, map, fd, slotsFd, asked, write };
}

/** Runs `during` when the next read of a file has its bytes, as another thread would. */
function during(t: Test, times: number, work: () => void): void {
  type ReadAtHand = (...args: Parameters<typeof files.readAtHand>) => number;
  const patched: { readAtHand: ReadAtHand } = files;
  const original: ReadAtHand = files.readAtHand.bind(files);
  let left = times;
  patched.readAtHand = (...args) => {
    const result = original(...args);
    if (left-- > 0) work();
    return result;
  };
  t.teardown(() => {
    patched.readAtHand = original;
  });
}

await test('what is present is read without a message', async (t) => {
  const { source, map, asked, write } = setUp(t);
  write(1);
  write(2);
  t.equal(source.ensure(CHUNK_SIZE, 2 * CHUNK_SIZE), null);
  const bytes = Buffer.alloc(1000);
  t.equal(source.read(2 * CHUNK_SIZE - 500, 1000, bytes, 0), true);
  t.ok(bytes.equals(CONTENT.subarray(2 * CHUNK_SIZE - 500, 2 * CHUNK_SIZE + 500)));
  t.same(asked, []);
  t.equal(map.counted(MAP_HITS), 1);
  t.equal(map.counted(MAP_MISSES), 0);
});

await test('a miss asks for the chunks of the range, once', async (t) => {
  const { source, map, asked } = setUp(t);
  t.equal(source.read(0, 10, Buffer.alloc(10), 0), false);
  await source.ensure(CHUNK_SIZE - 1, CHUNK_SIZE + 2);
  t.same(asked, ['want 9: 0-2']);
  t.equal(source.ensure(0, 3 * CHUNK_SIZE), null);
  t.equal(map.counted(MAP_MISSES), 1);
});

await test('a chunk that is evicted while it is read is not used', (t) => {
  const { source, map, fd, write } = setUp(t);
  write(1);
  during(t, 1, () => {
    map.clear(1, 1);
    writeSync(fd, Buffer.alloc(CHUNK_SIZE), 0, CHUNK_SIZE, CHUNK_SIZE);
  });
  const bytes = Buffer.alloc(100);
  t.equal(source.read(CHUNK_SIZE + 5, 100, bytes, 0), false);
  t.equal(map.counted(MAP_REPEATS), 1);
  t.equal(map.counted(MAP_HITS), 0);
  t.end();
});

await test('a chunk that is evicted and fetched again while it is read is read again', (t) => {
  const { source, map, write } = setUp(t);
  write(1);
  during(t, 2, () => {
    map.clear(1, 1);
    write(1);
  });
  const bytes = Buffer.alloc(100);
  t.equal(source.read(CHUNK_SIZE + 5, 100, bytes, 0), true);
  t.ok(bytes.equals(CONTENT.subarray(CHUNK_SIZE + 5, CHUNK_SIZE + 105)));
  t.equal(map.counted(MAP_REPEATS), 2, 'it was read three times');
  t.end();
});

await test('an eviction without end does not hold the thread', (t) => {
  const { source, map, write } = setUp(t);
  write(1);
  during(t, Number.POSITIVE_INFINITY, () => {
    map.clear(1, 1);
    write(1);
  });
  t.equal(source.read(CHUNK_SIZE, 100, Buffer.alloc(100), 0), false);
  t.end();
});

await test('a read over chunks in slots and in the file', async (t) => {
  const { source, map, slotsFd, write } = setUp(t);
  write(0);
  write(2);
  writeSync(slotsFd, chunkOfContent(CONTENT, 1), 0, CHUNK_SIZE, 5 * CHUNK_SIZE);
  map.setSlot(1, 5);
  map.set(1);
  writeSync(slotsFd, chunkOfContent(CONTENT, 4), 0, 500, 0);
  map.setSlot(4, 0);
  map.set(4);
  const bytes = Buffer.alloc(3 * CHUNK_SIZE - 20);
  t.equal(source.read(10, bytes.length, bytes, 0), true);
  t.ok(bytes.equals(CONTENT.subarray(10, 3 * CHUNK_SIZE - 10)));
  const tail = Buffer.alloc(500);
  t.equal(source.read(4 * CHUNK_SIZE, 500, tail, 0), true);
  t.ok(tail.equals(CONTENT.subarray(4 * CHUNK_SIZE)));
  await source.load(0, CHUNK_SIZE * 3);
});

await test('the reader of a marked chunk asks for more, once', (t) => {
  const { source, map, asked, write } = setUp(t);
  for (const chunk of [0, 1, 2]) write(chunk);
  map.mark(1);
  const bytes = Buffer.alloc(CHUNK_SIZE);
  source.read(0, 10, bytes, 0);
  t.same(asked, []);
  source.read(CHUNK_SIZE / 2, CHUNK_SIZE, bytes, 0);
  source.read(CHUNK_SIZE, 10, bytes, 0);
  t.same(asked, ['hint 9: 1-1']);
  t.end();
});

await test('prefetch hints at what is missing', async (t) => {
  const { source, asked, write } = setUp(t);
  write(3);
  await source.prefetch(3 * CHUNK_SIZE, 100);
  t.same(asked, []);
  await source.prefetch(3 * CHUNK_SIZE, CONTENT.length);
  t.same(asked, ['hint 9: 3-4'], 'up to the end of the blob');
});

await test('only a complete blob has a file that others may read', (t) => {
  const { source, map, fd, write } = setUp(t);
  for (let chunk = 0; chunk < 5; chunk++) write(chunk);
  const into = { fd: -1, position: -1 };
  t.equal(source.locate(10, 10, into), false);
  map.setComplete(true);
  t.equal(source.locate(10, 10, into), true);
  t.same(into, { fd, position: 10 });
  t.equal(source.locate(CONTENT.length - 1, 2, into), false);
  t.end();
});

await test('bytes that break a checksum are fetched again, by the chunks that hold them, and once', async (t) => {
  const { source, asked } = setUp(t);
  await source.ensure(0, 3 * CHUNK_SIZE);
  asked.length = 0;
  const bytes = Buffer.alloc(2);
  t.ok(source.distrust(CHUNK_SIZE - 1, 2));
  t.notOk(source.read(CHUNK_SIZE - 1, 2, bytes, 0), 'no other read wants them meanwhile');
  t.ok(source.read(2 * CHUNK_SIZE, 2, bytes, 0), 'others are read');
  await source.ensure(CHUNK_SIZE + 7, 1);
  t.same(asked, ['refetch 9: 0-1']);
  t.equal(source.ensure(CHUNK_SIZE + 7, 1), null);
  t.ok(source.read(CHUNK_SIZE - 1, 2, bytes, 0));
  t.notOk(source.distrust(CHUNK_SIZE - 1, 2), 'the registry has them so');
});
