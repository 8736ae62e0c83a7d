// Jobs on files of the cache, and how they fail.
import { readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import {
  bounded,
  checksumRange,
  closeCacheFile,
  hashFile,
  openCacheFile,
  openIfThere,
  punchRange,
  storeChunk,
} from '../../../daemon/cache/disk.js';
import { crc32c } from '../../../daemon/native/crc32c.js';
import { files } from '../../../daemon/native/file.js';
import { randomBytes } from '../../support/pattern.js';

await test('a file is made once, and only if that is asked for', async (t) => {
  const path = join(t.testdir(), 'data');
  await t.rejects(openCacheFile(path, null), { code: 'NOT_FOUND', message: /ENOENT/ });
  t.equal(await openIfThere(path), null);
  const made = await openCacheFile(path, 5000);
  const again = await openCacheFile(path, 9000);
  t.same([made.size, again.size], [5000, 5000]);
  closeCacheFile(made.fd);
  closeCacheFile(again.fd);
  await t.rejects(openCacheFile(join(path, 'x'), 1), { code: 'IO', message: /ENOTDIR/ });
  await t.rejects(openCacheFile(t.testdirName, null), { code: 'UNSUPPORTED' });
  symlinkSync(path, join(t.testdirName, 'link'));
  await t.rejects(openCacheFile(join(t.testdirName, 'link'), null), {
    code: 'UNSUPPORTED',
    message: /not a regular file/,
  });
});

await test('a chunk is written with its record, checked, and punched', async (t) => {
  const folder = t.testdir();
  const data = await openCacheFile(join(folder, 'data'), 200_000);
  const state = await openCacheFile(join(folder, 'state'), 100);
  t.teardown(() => [data, state].forEach(({ fd }) => closeCacheFile(fd)));
  const bytes = randomBytes(1, 65_536);
  const record = Buffer.from('8 bytes.');
  const stored = await storeChunk(
    { fd: data.fd, position: 65_536, bytes },
    { fd: state.fd, position: 16, bytes: record },
  );
  t.equal(stored, 0);
  t.ok(readFileSync(data.path).subarray(65_536, 131_072).equals(bytes));
  t.equal(readFileSync(state.path, 'latin1').slice(16, 24), '8 bytes.');
  t.equal(await checksumRange(data.fd, 65_536, 65_536, 77), crc32c(bytes, 0, 65_536, 77));
  t.equal(await checksumRange(data.fd, 199_999, 2, 1), -61, 'ENODATA: the file ends');

  const hole = { fd: data.fd, position: 65_536, length: 65_536 };
  t.equal(await punchRange(hole, { fd: state.fd, position: 16, length: 8 }), 0);
  t.ok(readFileSync(data.path).every((byte) => byte === 0));
  t.ok(readFileSync(state.path).every((byte) => byte === 0));
  t.equal(readFileSync(data.path).length, 200_000);
});

await test('what a reader has at hand is what was written last', async (t) => {
  const folder = t.testdir();
  const data = await openCacheFile(join(folder, 'data'), 65_536);
  const state = await openCacheFile(join(folder, 'state'), 8);
  t.teardown(() => [data, state].forEach(({ fd }) => closeCacheFile(fd)));
  for (const fill of [1, 2, 3]) {
    const bytes = Buffer.alloc(65_536, fill);
    const stored = await storeChunk(
      { fd: data.fd, position: 0, bytes },
      { fd: state.fd, position: 0, bytes: Buffer.alloc(8, fill) },
    );
    t.equal(stored, 0);
    const byte = Buffer.alloc(1);
    t.equal(files.readAtHand(data.fd, byte, 0, 1, 40_000), 1);
    t.equal(byte[0], fill);
  }
});

await test('the hash of a file, also of one that is cut meanwhile', async (t) => {
  const path = join(t.testdir(), 'file');
  writeFileSync(path, 'abc');
  const file = await openCacheFile(path, null);
  t.teardown(() => closeCacheFile(file.fd));
  t.match(await hashFile(file), /^ba7816bf8f01cfea/);
  truncateSync(path, 1);
  await t.rejects(hashFile(file), { code: 'SHORT_READ' });
});

await test('calls without a deadline get one', async (t) => {
  const before = files.deadline();
  files.deadline(50);
  t.teardown(() => files.deadline(before));
  t.equal(await bounded('x', () => Promise.resolve(7)), 7);
  const bug = new Error('a bug');
  await t.rejects(
    bounded('x', () => Promise.reject(bug)),
    bug,
  );
  const never = (): Promise<void> => {
    started++;
    return new Promise(() => {});
  };
  let started = 0;
  for (let i = 0; i < 4; i++) {
    await t.rejects(bounded('read x', never), { code: 'IO', message: /^read x: ETIMEDOUT/ });
  }
  t.equal(started, 2, 'the others wait, and give up');
});
