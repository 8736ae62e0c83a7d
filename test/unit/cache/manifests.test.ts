// Manifests and tags on disk: kept across restarts, believed only if they have their digest, and without a
// disk kept in memory.
import { createHash } from 'node:crypto';
import { writeFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { CacheFolder } from '../../../daemon/cache/folder.js';
import { Health } from '../../../daemon/cache/health.js';
import { ManifestCache } from '../../../daemon/cache/manifests.js';
import { silentLog } from '../../support/cached-blobs.js';

const BYTES = Buffer.from('{"schemaVersion":2}');
const digestOf = (bytes: Uint8Array): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const DIGEST = digestOf(BYTES);

function setUp(t: Test): { folder: CacheFolder; open: () => ManifestCache } {
  const folder = new CacheFolder(t.testdir());
  return { folder, open: () => new ManifestCache(folder, new Health(silentLog())) };
}

await test('manifests and tags are there after a restart', async (t) => {
  const { open } = setUp(t);
  const first = open();
  t.equal(await first.get(DIGEST), null);
  t.equal(await first.tag('r.test:5000', 'a/b', 'v1'), null);
  await first.put(DIGEST, BYTES);
  await first.setTag('r.test:5000', 'a/b', 'v1', DIGEST);
  await first.setTag('r.test:5000', 'a', 'b', DIGEST);
  const second = open();
  t.same(await second.get(DIGEST), BYTES);
  const known = await second.tag('r.test:5000', 'a/b', 'v1');
  t.equal(known?.digest, DIGEST);
  t.ok((known?.checkedAt ?? 0) > 0 && (known?.checkedAt ?? 0) <= Date.now());
  t.match(await second.tag('r.test:5000', 'a', 'b'), { digest: DIGEST }, 'beside a longer name');
});

await test('bytes that do not have the digest are not known', async (t) => {
  const { folder, open } = setUp(t);
  const cache = open();
  await cache.put(DIGEST, BYTES);
  writeFileSync(folder.manifest(DIGEST) ?? '', 'something else');
  t.equal(await cache.get(DIGEST), null);
  writeFileSync(folder.manifest(DIGEST) ?? '', Buffer.alloc((4 << 20) + 1));
  t.equal(await cache.get(DIGEST), null);
  await cache.put(DIGEST, BYTES);
  t.same(await cache.get(DIGEST), BYTES, 'and can be put again');
  await cache.put('sha512:00', BYTES);
  t.equal(await cache.get('sha512:00'), null);
});

await test('a tag file that is not one is not known', async (t) => {
  const { folder, open } = setUp(t);
  const path = folder.ref('h', 'r', 't');
  mkdirSync(join(path, '..'), { recursive: true });
  const wrong = [
    '',
    '{',
    'null',
    '[]',
    '{}',
    '{"digest":7}',
    '{"digest":"sha256:xx","checkedAt":1}',
  ];
  for (const text of [...wrong, 'x'.repeat(5000)]) {
    writeFileSync(path, text);
    t.equal(await open().tag('h', 'r', 't'), null, text.slice(0, 50));
  }
  for (const time of [-1, 0, 1.5, 1e300, Date.now() + 3_600_000, null]) {
    writeFileSync(path, JSON.stringify({ digest: DIGEST, checkedAt: time }));
    t.same(await open().tag('h', 'r', 't'), { digest: DIGEST, checkedAt: 0 }, String(time));
  }
});

await test('without a disk they are kept in memory, the latest ones', async (t) => {
  const health = new Health(silentLog());
  const cache = new ManifestCache(new CacheFolder('/proc/none'), health);
  await cache.put(DIGEST, BYTES);
  await cache.setTag('h', 'r', 't', DIGEST);
  t.same(await cache.get(DIGEST), BYTES);
  t.match(await cache.tag('h', 'r', 't'), { digest: DIGEST });
  t.ok(health.reason);
  const large = Array.from({ length: 5 }, (_, i) => Buffer.alloc(4 << 20, i));
  for (const bytes of large) await cache.put(digestOf(bytes), bytes);
  t.equal(await cache.get(DIGEST), null, '16 MiB are too few for all');
  t.ok(await cache.get(digestOf(large[4] as Buffer)));
  for (let i = 0; i < 1100; i++) await cache.setTag('h', 'r', `t${i}`, DIGEST);
  t.equal(await cache.tag('h', 'r', 't0'), null);
  t.ok(await cache.tag('h', 'r', 't1099'));
});

await test('without a folder, too', async (t) => {
  const cache = new ManifestCache(null, new Health(silentLog()));
  await cache.put(DIGEST, BYTES);
  await cache.setTag('h', 'r', 't', DIGEST);
  t.same(await cache.get(DIGEST), BYTES);
  t.match(await cache.tag('h', 'r', 't'), { digest: DIGEST });
});
