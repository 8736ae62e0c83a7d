// What lies in the folder.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { FolderLock } from '../../../daemon/cache/folder-lock.js';
import { CacheFolder } from '../../../daemon/cache/folder.js';
import { isUsed, namesIn, removeUnused, scanBlobs } from '../../../daemon/cache/scan.js';
import { makeFolders } from '../../../daemon/cache/small-files.js';

const A = 'a'.repeat(64);
const NONCE = '0123456789abcdef';

async function setUp(t: Test): Promise<CacheFolder> {
  const folder = new CacheFolder(t.testdir());
  await makeFolders('/', folder.shelf(A));
  return folder;
}

await test('the files of a blob belong together; other files are not seen', async (t) => {
  const folder = await setUp(t);
  writeFileSync(folder.data(A, NONCE), Buffer.alloc(10_000, 1));
  writeFileSync(folder.state(A, NONCE), 'x');
  writeFileSync(folder.complete(A), 'x');
  writeFileSync(join(folder.shelf(A), 'notes.txt'), 'x');
  writeFileSync(join(folder.blobs, 'notes.txt'), 'x');
  mkdirSync(join(folder.shelf(A), `${A}.${'f'.repeat(16)}.data`));
  const found = (await scanBlobs(folder)).toSorted((a, b) => b.bytes - a.bytes);
  t.match(found, [
    { digits: A, nonce: NONCE, data: folder.data(A, NONCE), state: folder.state(A, NONCE) },
    { digits: A, nonce: null, data: folder.complete(A), state: null },
  ]);
  t.ok((found[0]?.bytes ?? 0) >= 10_000);
});

await test('a state file alone is found, and removed', async (t) => {
  const folder = await setUp(t);
  const lock = await FolderLock.open(folder);
  t.teardown(() => lock.close());
  writeFileSync(folder.state(A, NONCE), 'x');
  const [blob] = await scanBlobs(folder);
  if (!blob) throw new Error('not found');
  t.equal(blob.data, null);
  t.equal(await isUsed(blob), false);
  t.equal(await removeUnused(lock, blob), true);
  t.same(await scanBlobs(folder), []);
});

await test('a folder that is not there is empty', async (t) => {
  t.same(await namesIn(join(t.testdir(), 'none')), []);
});
