// The small files of tags and sizes: which of them are collected.
import { existsSync, mkdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test, type Test } from 'tap';
import { CacheFolder } from '../../../daemon/cache/folder.js';
import { Health } from '../../../daemon/cache/health.js';
import { collectGarbage } from '../../../daemon/cache/maintenance.js';
import { FolderLock } from '../../../daemon/cache/folder-lock.js';
import { ManifestCache } from '../../../daemon/cache/manifests.js';
import { removeOldRefs } from '../../../daemon/cache/old-refs.js';
import { openStore } from '../../support/cached-blobs.js';

const DAY_MS = 86_400_000;
const AGES = { unusedMs: 90 * DAY_MS, temporaryMs: DAY_MS };
const DIGEST = `sha256:${'a'.repeat(64)}`;

function setDays(path: string, days: number): void {
  const at = (Date.now() - days * DAY_MS) / 1000;
  utimesSync(path, at, at);
}

function write(
  t: Test,
  files: Readonly<Record<string, number>>,
): { folder: CacheFolder; has: () => string[] } {
  const folder = new CacheFolder(t.testdir());
  for (const [name, days] of Object.entries(files)) {
    const path = join(folder.refs, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, '12345');
    setDays(path, days);
  }
  const has = (): string[] =>
    Object.keys(files).filter((name) => existsSync(join(folder.refs, name)));
  return { folder, has };
}

function statOf(folder: CacheFolder, tag: string): number {
  return statSync(folder.ref('reg', 'used', tag)).mtimeMs;
}

await test('files that were not used for long go, with the folders that they leave empty', async (t) => {
  const temporary = `@x.${'0'.repeat(16)}.tmp`;
  const { folder, has } = write(t, {
    'reg/app/@1': 91,
    'reg/app/@2': 89,
    'reg/old/deep/@1': 91,
    [`reg/app/${temporary}`]: 2,
    [`reg/new/${temporary}`]: 0,
    'reg/app/not of the cache': 91,
  });
  const aside = t.testdirName;
  symlinkSync(aside, join(folder.refs, 'reg/link'));
  t.equal(await removeOldRefs(folder, AGES), 15);
  t.same(has(), ['reg/app/@2', `reg/new/${temporary}`, 'reg/app/not of the cache']);
  t.ok(existsSync(join(folder.refs, 'reg/old/deep')), 'a process may be about to write into it');
  for (const name of ['reg/old/deep', 'reg/old']) setDays(join(folder.refs, name), 2);
  await removeOldRefs(folder, AGES);
  t.notOk(existsSync(join(folder.refs, 'reg/old/deep')));
  setDays(join(folder.refs, 'reg/old'), 2);
  await removeOldRefs(folder, AGES);
  t.notOk(existsSync(join(folder.refs, 'reg/old')));
  t.equal(await removeOldRefs({ refs: '/no/such/folder' }, AGES), 0);
});

await test('of too many, those stay that were used last', async (t) => {
  const { folder, has } = write(t, {
    'r/@a': 5,
    'r/@b': 1,
    's/@c': 3,
    't/@d': 4,
    't/@e': 2,
    't/@f': 6,
  });
  t.equal(await removeOldRefs(folder, { ...AGES, most: 2 }), 20);
  t.same(has(), ['r/@b', 't/@e']);
});

await test('a use counts, and the collection of the cache does all this', async (t) => {
  const path = t.testdir();
  await (await openStore(t, { cacheFolder: path })).close();
  const folder = new CacheFolder(path);
  const cache = new ManifestCache(folder, new Health({ log: () => undefined }));
  const lock = await FolderLock.open(folder);
  t.teardown(() => lock.close());
  const names = ['used', 'unused'];
  for (const name of names) {
    await cache.setSize('reg', name, DIGEST, 7);
    await cache.setTag('reg', name, '1', DIGEST);
    for (const each of [DIGEST, '1']) setDays(folder.ref('reg', name, each), 100);
  }
  t.equal(await cache.size('reg', 'used', DIGEST), 7);
  t.match(await cache.tag('reg', 'used', '1'), { digest: DIGEST });
  // The time of the use is written meanwhile.
  const isOld = (each: string): boolean => Date.now() - statOf(folder, each) > DAY_MS;
  while ([DIGEST, '1'].some(isOld)) await new Promise(setImmediate);
  await collectGarbage(folder, lock);
  t.equal(await cache.size('reg', 'used', DIGEST), 7);
  t.not(await cache.tag('reg', 'used', '1'), null);
  t.equal(await cache.size('reg', 'unused', DIGEST), null);
  t.equal(await cache.tag('reg', 'unused', '1'), null);
});
