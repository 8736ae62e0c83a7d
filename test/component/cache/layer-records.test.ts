// Records of layers in the folder of the cache: kept, found again, bounded, and never used if they are damaged.
import { chmodSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { FolderLock } from '../../../daemon/cache/folder-lock.js';
import { CacheFolder } from '../../../daemon/cache/folder.js';
import { LayerRecords } from '../../../daemon/cache/layer-records.js';
import { collectGarbage } from '../../../daemon/cache/maintenance.js';
import type { RecordKey } from '../../../daemon/cache/record-files.js';
import { BufferFetcher, openStore, refOf } from '../../support/cached-blobs.js';
import { randomBytes } from '../../support/pattern.js';
import { smallDisk } from '../../support/small-disk.js';

const keyOf = (digit: string, kind: RecordKey['kind'] = 'layer'): RecordKey => {
  return { kind, digits: digit.repeat(64) };
};
const content = randomBytes(1, 10_000);

function newRecords(t: Test, limit: number | null = null): { records: LayerRecords; path: string } {
  const folder = join(t.testdir(), 'cache');
  return { records: new LayerRecords({ folder, limit }), path: join(folder, 'v1/layers') };
}

await test('a record is found again, by the kind and the digits of its key', async (t) => {
  const { records } = newRecords(t);
  t.equal(await records.get(keyOf('a')), null);
  t.equal(await records.put(keyOf('a'), content), null);
  t.same(await records.get(keyOf('a')), content);
  t.equal((await records.get(keyOf('a')))?.byteOffset, 16);
  t.equal(await records.get(keyOf('b')), null);
  t.equal(await records.get(keyOf('a', 'file')), null);
  t.equal(await records.put(keyOf('a'), content.subarray(1)), null);
  t.same(await records.get(keyOf('a')), content.subarray(1), 'the later one');
});

await test('a record that is damaged, cut or of another version is none', async (t) => {
  const { records, path } = newRecords(t);
  await records.put(keyOf('a'), content);
  const [name = ''] = readdirSync(path);
  const file = join(path, name);
  const right = readFileSync(file);
  for (const at of [0, 8, 12, 16, right.length - 1]) {
    const wrong = Buffer.from(right);
    wrong[at] = (wrong[at] as number) ^ 1;
    writeFileSync(file, wrong);
    t.equal(await records.get(keyOf('a')), null, `byte ${at}`);
  }
  writeFileSync(file, right.subarray(0, 10));
  t.equal(await records.get(keyOf('a')), null);
  writeFileSync(file, right);
  t.same(await records.get(keyOf('a')), content);
});

await test('the oldest records make room, within a quarter of the cache', async (t) => {
  const { records, path } = newRecords(t, 100_000);
  for (const [i, digit] of ['a', 'b'].entries()) {
    await records.put(keyOf(digit), content);
    utimesSync(join(path, `${digit.repeat(64)}.layer`), i + 1, i + 1);
  }
  await records.put(keyOf('c'), content);
  t.same(
    readdirSync(path).map((name) => name[0]),
    ['b', 'c'],
  );
  const tooLong = await records.put(keyOf('d'), randomBytes(2, 30_000));
  t.match(tooLong, /it has 29\.3 KiB, and there is room for 24\.4 KiB/);
  t.same(
    readdirSync(path).map((name) => name[0]),
    ['b', 'c'],
  );
});

await test('chunks make room for a record on a disk that is full', async (t) => {
  const disk = smallDisk(t, 4 << 20);
  if (disk === null) {
    t.pass('SKIPPED: this user may not mount a file system', { skip: true });
    return;
  }
  const folder = join(disk, 'cache');
  const store = await openStore(t, { cacheFolder: folder });
  const blobContent = randomBytes(9, 6 << 20);
  const blob = await store.blob(refOf(blobContent));
  await new BufferFetcher(blob, blobContent).want(0, 0, blob.chunks - 1);
  t.ok(blob.map.hasSlots, 'the disk is full');
  const record = randomBytes(10, 300_000);
  const without = new LayerRecords({ folder, limit: null });
  t.match(await without.put(keyOf('a'), record), /ENOSPC/);
  const asked: number[] = [];
  const records = new LayerRecords({ folder, limit: null }, (bytes, file) => {
    asked.push(bytes);
    return store.makeRoom(bytes, file);
  });
  t.equal(await records.put(keyOf('a'), record), null);
  t.same(asked, [record.length + 16 + (256 << 10)]);
  t.same(await records.get(keyOf('a')), record);
  blob.release();
});

await test('a folder that others may write to is not used', async (t) => {
  const { records } = newRecords(t);
  await records.put(keyOf('a'), content);
  const folder = join(t.testdirName, 'cache');
  chmodSync(folder, 0o777);
  const again = new LayerRecords({ folder, limit: null });
  t.equal(await again.get(keyOf('a')), null);
  t.match(await again.put(keyOf('a'), content), /only that user may write to it/);
});

await test('the record of a blob that is open makes no room', async (t) => {
  const { records, path } = newRecords(t, 100_000);
  const folder = join(t.testdirName, 'cache');
  const ref = refOf(content);
  const digits = ref.digest.slice('sha256:'.length);
  const store = await openStore(t, { cacheFolder: folder });
  const blob = await store.blob(ref);
  await records.put({ kind: 'layer', digits }, content);
  utimesSync(join(path, `${digits}.layer`), 1, 1);
  for (const digit of ['a', 'b']) await records.put(keyOf(digit), content);
  t.ok(await records.get({ kind: 'layer', digits }));
  t.equal(readdirSync(path).length, 2);
  t.match(await records.put(keyOf('c'), randomBytes(3, 20_000)), /layers in use take all room/);
  t.equal(await records.sizeOf({ kind: 'layer', digits }), content.length + 16);
  const longAgo = Date.now() / 1000 - 100 * 24 * 3600;
  utimesSync(join(path, `${digits}.layer`), longAgo, longAgo);
  const lock = await FolderLock.open(new CacheFolder(folder));
  t.teardown(() => lock.close());
  await collectGarbage(new CacheFolder(folder), lock);
  t.ok(await records.get({ kind: 'layer', digits }), 'nor is it garbage');
  blob.release();
});
