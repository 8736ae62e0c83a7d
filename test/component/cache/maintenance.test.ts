// The commands for a cache folder, without a daemon and beside one.
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import type { CacheCheck } from '../../../daemon/cache/cached-blob.js';
import { FolderLock } from '../../../daemon/cache/folder-lock.js';
import { CacheFolder } from '../../../daemon/cache/folder.js';
import {
  collectGarbage,
  listCache,
  removeFromCache,
  verifyCache,
} from '../../../daemon/cache/maintenance.js';
import { BufferFetcher, openStore, refOf } from '../../support/cached-blobs.js';
import { randomBytes } from '../../support/pattern.js';

const CHUNKS = 6;
const PARTIAL = randomBytes(51, CHUNKS * CHUNK_SIZE);
const WHOLE = randomBytes(52, 2 * CHUNK_SIZE + 5);

interface Setup {
  readonly folder: CacheFolder;
  readonly lock: FolderLock;
  readonly paths: () => Record<string, string>;
}

/** A folder with one blob that is complete and one that has four chunks; no process uses it. */
async function setUp(t: Test): Promise<Setup> {
  const path = t.testdir();
  const store = await openStore(t, { cacheFolder: path });
  const partial = await store.blob(refOf(PARTIAL));
  await new BufferFetcher(partial, PARTIAL).want(0, 1, 4);
  const whole = await store.blob(refOf(WHOLE));
  await new BufferFetcher(whole, WHOLE).want(0, 0, 2);
  t.equal(await whole.complete(), 'complete');
  partial.release();
  whole.release();
  await store.close();
  const folder = new CacheFolder(path);
  const lock = await FolderLock.open(folder);
  t.teardown(() => lock.close());
  const paths = (): Record<string, string> =>
    Object.fromEntries(
      readdirSync(folder.blobs).flatMap((shelf) =>
        readdirSync(join(folder.blobs, shelf)).map((name) => [
          name.split('.').at(-1),
          join(folder.blobs, shelf, name),
        ]),
      ),
    ) as Record<string, string>;
  return { folder, lock, paths };
}

function damage(path: string | undefined, at: number): void {
  const fd = openSync(path ?? '', 'r+');
  writeSync(fd, 'damage', at);
  closeSync(fd);
}

await test('the list', async (t) => {
  const { folder, lock } = await setUp(t);
  const list = (await listCache(folder)).toSorted(
    (a, b) => Number(a.isComplete) - Number(b.isComplete),
  );
  t.match(list, [
    { digest: refOf(PARTIAL).digest, size: PARTIAL.length, isComplete: false, isUsed: false },
    { digest: refOf(WHOLE).digest, size: WHOLE.length, isComplete: true, isUsed: false },
  ]);
  t.ok((list[0]?.bytes ?? 0) >= 4 * CHUNK_SIZE && (list[0]?.bytes ?? 0) < 5 * CHUNK_SIZE + 20_000);
  t.ok(Date.now() - (list[0]?.lastUsed ?? 0) < 3_600_000);
  t.ok(list.every(({ lastUsed }) => Number.isInteger(lastUsed)));
  await removeFromCache(folder, lock, refOf(PARTIAL).digest);
  await t.rejects(removeFromCache(folder, lock, refOf(PARTIAL).digest), { code: 'NOT_FOUND' });
  t.equal((await listCache(folder)).length, 1);
  t.same(await listCache(new CacheFolder(join(folder.path, 'none'))), []);
});

await test('a blob that is open is not removed', async (t) => {
  const { folder, lock } = await setUp(t);
  const store = await openStore(t, { cacheFolder: folder.path });
  const blob = await store.blob(refOf(WHOLE));
  await t.rejects(removeFromCache(folder, lock, refOf(WHOLE).digest), {
    code: 'BUSY',
    message: /a process has it open; remove or detach the exports/,
    facts: { digest: /^sha256:/ },
  });
  t.ok((await listCache(folder)).some(({ isUsed }) => isUsed));
  blob.release();
});

await test('verify finds nothing in a cache that is right', async (t) => {
  const { folder, lock } = await setUp(t);
  const seen: CacheCheck[] = [];
  const checks = await verifyCache(folder, lock, (check) => seen.push(check));
  t.same(checks, seen);
  t.same(
    checks.toSorted((a, b) => a.chunks - b.chunks),
    [
      { digest: refOf(WHOLE).digest, chunks: 3, bad: 0, what: 'blob' },
      { digest: refOf(PARTIAL).digest, chunks: 4, bad: 0, what: 'blob' },
    ],
  );
});

await test('verify takes out what is wrong', async (t) => {
  const { folder, lock, paths } = await setUp(t);
  damage(paths()['data'], 2 * CHUNK_SIZE + 100);
  damage(paths()['data'], 4 * CHUNK_SIZE + 100);
  damage(paths()['blob'], 100);
  const checks = await verifyCache(folder, lock);
  t.same(
    checks.toSorted((a, b) => a.chunks - b.chunks),
    [
      { digest: refOf(WHOLE).digest, chunks: 3, bad: 3, what: 'blob' },
      { digest: refOf(PARTIAL).digest, chunks: 4, bad: 2, what: 'blob' },
    ],
  );
  t.notOk(paths()['blob']);
  t.same(await verifyCache(folder, lock), [
    { digest: refOf(PARTIAL).digest, chunks: 2, bad: 0, what: 'blob' },
  ]);
});

await test('verify takes out what has the name of a record and cannot be one', async (t) => {
  const { folder, lock } = await setUp(t);
  const names = ['a', 'b', 'c'].map((digit) => `${digit.repeat(64)}.layer`);
  const [pipe = '', directory = '', long = ''] = names.map((name) => join(folder.records, name));
  mkdirSync(folder.records, { recursive: true });
  execFileSync('mkfifo', [pipe]);
  mkdirSync(directory);
  writeFileSync(long, '');
  truncateSync(long, 2 ** 30);
  const checks = (await verifyCache(folder, lock)).filter(({ what }) => what === 'record');
  t.match(checks, [{ bad: 1 }, { bad: 1 }, { bad: 1 }]);
  t.same(readdirSync(folder.records), []);
});

await test('garbage: halves, headers that are none, old manifests', async (t) => {
  const { folder, lock, paths } = await setUp(t);
  t.same(await collectGarbage(folder, lock), { freedBytes: 0, blobs: 0, records: 0 });
  t.ok(paths()['data']);
  const digest = `sha256:${'0'.repeat(64)}`;
  const manifest = folder.manifest(digest) ?? '';
  writeFileSync(manifest, 'old');
  const temporary = `${manifest}.0123456789abcdef.tmp`;
  writeFileSync(temporary, 'older');
  const recent = folder.manifest(`sha256:${'1'.repeat(64)}`) ?? '';
  writeFileSync(recent, 'new');
  const longAgo = new Date(Date.now() - 100 * 24 * 3_600_000);
  utimesSync(manifest, longAgo, longAgo);
  utimesSync(temporary, longAgo, longAgo);
  writeFileSync(join(folder.path, 'v1', 'README'), 'not ours');
  t.same(await collectGarbage(folder, lock), { freedBytes: 8, blobs: 0, records: 0 });
  t.same([manifest, temporary, recent].map(existsSync), [false, false, true]);

  rmSync(paths()['state'] ?? '');
  const half = await collectGarbage(folder, lock);
  t.ok(half.freedBytes >= 4 * CHUNK_SIZE);
  t.equal(half.blobs, 1);
  t.notOk(paths()['data']);
  t.ok(paths()['blob'], 'the complete one stays');
});
