// Room for a record or a copy: it costs a look at all files of the cache only if the limit would be passed.
import { existsSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import { LayerRecords } from '../../../daemon/cache/layer-records.js';
import type { CacheStore } from '../../../daemon/cache/store.js';
import { BufferFetcher, openStore, refOf } from '../../support/cached-blobs.js';
import { randomBytes } from '../../support/pattern.js';

const MIB = 1 << 20;
const LIMIT = 40 * MIB;
const CONTENT = randomBytes(1, 4 * MIB);

/** A folder with one blob. */
async function filled(t: Test, folder: string): Promise<CacheStore> {
  const store = await openStore(t, { cacheFolder: folder, cacheSize: LIMIT });
  const blob = await store.blob(refOf(CONTENT));
  await new BufferFetcher(blob, CONTENT).want(0, 0, blob.chunks - 1);
  await blob.complete();
  await store.gc();
  return store;
}

await test('records are counted without a look at all files, until there may be too much', async (t) => {
  const folder = t.testdir();
  const store = await filled(t, folder);
  const { bytes } = store.status();
  // It is counted when all files are looked at.
  const unseen = join(folder, 'v1/layers', `${'a'.repeat(64)}.layer`);
  writeFileSync(unseen, Buffer.alloc(4 * MIB));
  const yesterday = new Date(Date.now() - 24 * 3_600_000);
  utimesSync(unseen, yesterday, yesterday);
  const place = { folder, limit: LIMIT };
  const records = new LayerRecords(place, (most, file) => store.makeRoom(most, file));
  for (const digit of 'bcd') {
    const key = { kind: 'layer', digits: digit.repeat(64) } as const;
    t.equal(await records.put(key, Buffer.alloc(CHUNK_SIZE)), null);
    t.equal(store.status().bytes, bytes, 'not looked');
  }
  t.ok(existsSync(unseen));
  t.equal(await store.makeRoom(32 * MIB, 'copy'), null);
  t.notOk(existsSync(unseen), 'it was found, and had to go');
});

await test('a file that is replaced is counted, maybe twice, and never not at all', async (t) => {
  const folder = t.testdir();
  const store = await filled(t, folder);
  const { bytes } = store.status();
  const path = join(folder, 'file');
  writeFileSync(path, randomBytes(2, MIB));
  t.equal(await store.makeRoom(MIB, path), null);
  t.equal(store.status().bytes, bytes + MIB);
});

await test('before it is known what the folder has, all files are looked at', async (t) => {
  const folder = t.testdir();
  await filled(t, folder);
  const other = await openStore(t, { cacheFolder: folder, cacheSize: LIMIT });
  t.equal(await other.makeRoom(MIB, 'copy'), null);
  t.ok(other.status().bytes >= CONTENT.length);
});
