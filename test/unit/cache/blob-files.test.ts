// Files of one blob that are opened and made. What the store does with them is tested there.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { test, type Test } from 'tap';
import {
  closeBlobFiles,
  makeFolder,
  nameComplete,
  openBlobFiles,
} from '../../../daemon/cache/blob-files.js';
import { FolderLock } from '../../../daemon/cache/folder-lock.js';
import { CacheFolder } from '../../../daemon/cache/folder.js';
import { makeFolders } from '../../../daemon/cache/small-files.js';
import { stateFileSize } from '../../../daemon/cache/state-file.js';

const DIGITS = 'c'.repeat(64);
const BLOB = { digest: `sha256:${DIGITS}`, size: 3 * 65_536 + 1 };

async function setUp(t: Test): Promise<{ folder: CacheFolder; lock: FolderLock }> {
  const folder = new CacheFolder(t.testdir());
  await makeFolders('/', folder.blobs);
  const lock = await FolderLock.open(folder);
  t.teardown(() => lock.close());
  return { folder, lock };
}

await test('a pair is made once, private and sparse', async (t) => {
  const { folder, lock } = await setUp(t);
  const [one, two] = await Promise.all([0, 1].map(() => openBlobFiles(folder, lock, BLOB)));
  if (!one || !two) throw new Error('not opened');
  t.equal(one.data.path, two.data.path);
  t.equal(one.data.size, BLOB.size);
  t.equal(one.partial?.bytes.length, stateFileSize(BLOB.size));
  const status = statSync(one.data.path);
  t.equal(status.mode & 0o777, 0o600);
  t.equal(status.blocks, 0);
  t.equal(statSync(folder.shelf(DIGITS)).mode & 0o777, 0o700);
  closeBlobFiles(one);
  closeBlobFiles(two);
});

await test('the final name replaces both', async (t) => {
  const { folder, lock } = await setUp(t);
  const one = await openBlobFiles(folder, lock, BLOB);
  const two = await openBlobFiles(folder, lock, BLOB);
  await nameComplete(folder, lock, one);
  await nameComplete(folder, lock, two);
  t.same(readdirSync(folder.shelf(DIGITS)), [`${DIGITS}.blob`]);
  const complete = await openBlobFiles(folder, lock, BLOB);
  t.equal(complete.partial, null);
  await nameComplete(folder, lock, complete);
  t.ok(existsSync(folder.complete(DIGITS)));
  for (const each of [one, two, complete]) closeBlobFiles(each);
});

await test('digests of other algorithms have no files', async (t) => {
  const { folder, lock } = await setUp(t);
  await t.rejects(openBlobFiles(folder, lock, { ...BLOB, digest: 'sha512:00' }), {
    code: 'UNSUPPORTED',
  });
});

await test('a folder that is there is fine', async (t) => {
  const path = t.testdir();
  await makeFolder(path);
  await t.rejects(makeFolder('/proc/none'), { code: 'NOT_FOUND' });
});
