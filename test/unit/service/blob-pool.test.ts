// The pool of open blobs: one descriptor and one table a file, closed with its last user.
import { fstatSync, linkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { ReaderFactory } from '../../../daemon/image/build.js';
import { BlobPool } from '../../../daemon/service/blob-pool.js';
import { textBytes } from '../../support/pattern.js';
import { writeZfile } from '../../support/zfile-writer.js';

const isOpen = (fd: number): boolean => {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
};

await test('the same file is opened once, at the same time and by other names', async (t) => {
  const folder = t.testdir();
  const [path, other] = [join(folder, 'blob'), join(folder, 'link')];
  writeFileSync(path, writeZfile(textBytes(1, 10_000)));
  linkSync(path, other);
  const pool = new BlobPool(new ReaderFactory());
  const [a, b] = await Promise.all([pool.open(path), pool.open(path)]);
  const c = await pool.open(other);
  t.equal(a.fd, b.fd);
  t.equal(a.fd, c.fd);
  t.equal(a.peeled, c.peeled);
  a.release();
  a.release();
  b.release();
  t.ok(isOpen(c.fd), 'releasing twice counts once');
  c.release();
  t.notOk(isOpen(c.fd));
});

await test('after the last release it is opened anew', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, textBytes(1, 1000));
  const pool = new BlobPool(new ReaderFactory());
  const first = await pool.open(path);
  first.release();
  const second = await pool.open(path);
  t.not(second.peeled, first.peeled);
  first.release();
  t.ok(isOpen(second.fd), 'an old user cannot close it');
  second.release();
});

await test('a file that was replaced is another', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, 'one');
  const pool = new BlobPool(new ReaderFactory());
  const first = await pool.open(path);
  writeFileSync(path, 'another');
  const second = await pool.open(path);
  t.not(second.fd, first.fd);
  t.equal(second.peeled.file.size, 7);
  first.release();
  second.release();
});

await test('a broken file fails for all who want it, and is closed', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, writeZfile(textBytes(1, 10_000), { header: { digest: 1 } }));
  const pool = new BlobPool(new ReaderFactory());
  const results = await Promise.allSettled([pool.open(path), pool.open(path)]);
  t.ok(results.every(({ status }) => status === 'rejected'));
  writeFileSync(path, writeZfile(textBytes(1, 10_000)));
  const repaired = await pool.open(path);
  t.equal(repaired.peeled.source.size, 10_000);
  repaired.release();
});
