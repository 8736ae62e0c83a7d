// Decoded copies in the folder of the cache: kept, found, and what they may take.
import {
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { CacheFolder } from '../../../daemon/cache/folder.js';
import { PlainCopies } from '../../../daemon/cache/plain-copies.js';
import { makeRoomFor, scanRecords, type RecordKey } from '../../../daemon/cache/record-files.js';
import { randomBytes } from '../../support/pattern.js';

const keyOf = (digit: string): RecordKey => ({ kind: 'file', digits: digit.repeat(64) });
const PART = randomBytes(1, 100_000);

async function keep(copies: PlainCopies, key: RecordKey, parts = 1): Promise<string> {
  const copy = await copies.begin(key, 'layer');
  for (let i = 0; i < parts; i++) await copy.write((i + 1) * 1_000_000, PART);
  return copy.keep();
}

await test('a copy is found, and has holes where nothing was written', async (t) => {
  const folder = t.testdir();
  const copies = new PlainCopies({ folder, limit: null });
  t.equal(await copies.find(keyOf('a'), 1), null);
  const path = await keep(copies, keyOf('a'));
  t.equal(await copies.find(keyOf('a'), 1_100_000), path);
  t.equal(await copies.find(keyOf('a'), 1_100_001), null, 'it is too short');
  const bytes = readFileSync(path);
  t.ok(bytes.subarray(1_000_000).equals(PART));
  t.ok(bytes.subarray(0, 1_000_000).equals(Buffer.alloc(1_000_000)));
  const [found] = await scanRecords(new CacheFolder(folder));
  t.match(found, { kind: 'file', isCopy: true, bytes: statSync(path).blocks * 512 });
});

await test('what is not kept leaves nothing', async (t) => {
  const folder = t.testdir();
  const copy = await new PlainCopies({ folder, limit: null }).begin(keyOf('a'), 'layer');
  await copy.write(0, PART);
  await copy.discard();
  t.same(readdirSync(join(folder, 'v1/layers')), []);
});

await test('bytes that come again from the first one on', async (t) => {
  const folder = t.testdir();
  const copy = await new PlainCopies({ folder, limit: 220_000 }).begin(keyOf('a'), 'layer');
  await copy.write(50_000, PART);
  await copy.restart();
  await copy.write(0, PART);
  t.ok(readFileSync(await copy.keep()).equals(PART));
});

await test('those that were used least recently make room', async (t) => {
  const folder = t.testdir();
  const copies = new PlainCopies({ folder, limit: 1_000_000 });
  const paths: string[] = [];
  for (const [i, digit] of ['a', 'b', 'c'].entries()) {
    const path = await keep(copies, keyOf(digit));
    utimesSync(path, i, i);
    paths.push(path);
  }
  await keep(copies, keyOf('d'), 3);
  const left = (await scanRecords(new CacheFolder(folder))).map(({ path }) => path).toSorted();
  t.same(left, [paths[2], `${folder}/v1/layers/${'d'.repeat(64)}.file.plain`]);
});

await test('a copy that is made again does not need room beside the old one', async (t) => {
  const folder = t.testdir();
  const copies = new PlainCopies({ folder, limit: 1_000_000 });
  const other = await keep(copies, keyOf('b'));
  utimesSync(other, 1, 1);
  const path = await keep(copies, keyOf('a'), 3);
  t.equal(await keep(copies, keyOf('a'), 3), path);
  t.ok(existsSync(other), 'the other one stays');
});

await test('one that may not have as much is refused while it is written', async (t) => {
  const folder = t.testdir();
  const copy = await new PlainCopies({ folder, limit: 300_000 }).begin(keyOf('a'), 'layer');
  await copy.write(0, PART);
  await t.rejects(copy.write(100_000, PART), {
    code: 'LIMIT',
    message: /^layer: a zstd frame is too long .* may have 146.5 KiB, which is not enough: allow/,
  });
  await copy.discard();
});

await test('a copy of a process that was killed counts, and makes room', async (t) => {
  const folder = t.testdir();
  const copies = new PlainCopies({ folder, limit: 700_000 });
  const cache = new CacheFolder(folder);
  const dead = `${folder}/v1/layers/${'a'.repeat(64)}.file.plain.${'0'.repeat(16)}.tmp`;
  const writing = await copies.begin(keyOf('b'), 'layer');
  await writing.write(0, PART);
  writeFileSync(dead, PART);
  // Long ago: a writer that waits for its registry is told from one that is gone by its lock.
  for (const { path } of await scanRecords(cache)) utimesSync(path, 1, 1);
  const sum = (await scanRecords(cache)).reduce((all, { bytes }) => all + bytes, 0);
  t.ok(sum >= 2 * PART.length, 'both count');
  t.ok(await makeRoomFor(cache, sum - 1, true, ''));
  t.notOk(existsSync(dead));
  t.notOk(await makeRoomFor(cache, 1, true, ''), 'the other one stays');
  t.ok(readFileSync(await writing.keep()).equals(PART));
});

await test('one that would take what must stay free is refused, after chunks could make room', async (t) => {
  const folder = t.testdir();
  const asked: number[] = [];
  const place = { folder, limit: null, minFree: 2 ** 60 };
  const copies = new PlainCopies(place, async (bytes) => (asked.push(bytes), null));
  const copy = await copies.begin(keyOf('a'), 'layer');
  await t.rejects(copy.write(0, PART), {
    code: 'LIMIT',
    message:
      /^layer: a zstd frame .*: the disk of .* has no room: .* are free, and 1024\.0 PiB of them stay free: free some of it, unpack/,
  });
  t.same(asked, [64 << 20]);
  await copy.discard();
});

await test('a full disk is the reason also if the cache has a limit', async (t) => {
  const folder = t.testdir();
  const asked: number[] = [];
  const place = { folder, limit: 2 ** 40, minFree: 2 ** 60 };
  const copies = new PlainCopies(place, async (bytes) => `${asked.push(bytes)} no`);
  const copy = await copies.begin(keyOf('a'), 'layer');
  await t.rejects(copy.write(0, PART), {
    code: 'LIMIT',
    message: /: the disk of .* has no room: .* of them stay free: free some of it, unpack/,
  });
  t.same(asked, [16 << 20, 64 << 20, 16 << 20]);
  await copy.discard();
});

await test('if the disk has no room and no chunks can go, other copies go', async (t) => {
  const folder = t.testdir();
  const other = await keep(new PlainCopies({ folder, limit: null }), keyOf('b'));
  const copy = await new PlainCopies({ folder, limit: null, minFree: 2 ** 60 }).begin(
    keyOf('a'),
    'layer',
  );
  await t.rejects(copy.write(0, PART), { code: 'LIMIT' });
  t.notOk(existsSync(other));
  await copy.discard();
});

await test('within a limit the cache is asked before a copy grows, and may have no room', async (t) => {
  const folder = t.testdir();
  const asked: [bytes: number, file: string][] = [];
  const makeRoom = (bytes: number, file: string): Promise<string | null> => {
    asked.push([bytes, file]);
    // 16 MiB at a time.
    return Promise.resolve(asked.length < 3 ? null : 'less than 9 GiB are free on its disk');
  };
  const copies = new PlainCopies({ folder, limit: 2 ** 30 }, makeRoom);
  const copy = await copies.begin(keyOf('a'), 'layer');
  const step = Buffer.alloc(4 << 20, 1);
  for (let i = 0; i < 8; i++) await copy.write(i * step.length, step);
  t.same(
    asked.map(([bytes]) => bytes),
    [16 << 20, 16 << 20],
  );
  await t.rejects(copy.write(8 * step.length, step), {
    code: 'LIMIT',
    message: /: less than 9 GiB are free on its disk: make room there, unpack/,
  });
  await copy.discard();
  t.same(
    asked.slice(3).map(([bytes]) => bytes),
    [0],
    'nothing is kept for it any more',
  );
  t.equal(new Set(asked.map(([, file]) => file)).size, 1);
  t.same(readdirSync(join(folder, 'v1/layers')), []);
});
