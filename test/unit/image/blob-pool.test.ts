// The pool of open blobs: one descriptor and one table a file, closed with its last user.
import { fstatSync, linkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'tap';
import { fileRef } from '../../../daemon/blob/blob-ref.js';
import { ReaderFactory } from '../../../daemon/image/reader-factory.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { BlobPool } from '../../../daemon/image/blob-pool.js';
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

/** Files are closed by threads of the addon, which nobody waits for. */
async function isClosed(fd: number): Promise<boolean> {
  for (let tries = 0; isOpen(fd) && tries < 1000; tries++) await pause(10);
  return !isOpen(fd);
}

await test('the same file is opened once, at the same time and by other names', async (t) => {
  const folder = t.testdir();
  const [path, other] = [join(folder, 'blob'), join(folder, 'link')];
  writeFileSync(path, writeZfile(textBytes(1, 10_000)));
  linkSync(path, other);
  const pool = new BlobPool(new ReaderFactory());
  const [a, b] = await Promise.all([
    pool.open(fileRef(path), UNBOUNDED),
    pool.open(fileRef(path), UNBOUNDED),
  ]);
  const c = await pool.open(fileRef(other), UNBOUNDED);
  t.equal(a.fd, b.fd);
  t.equal(a.fd, c.fd);
  t.equal(a.spec, c.spec);
  a.release();
  a.release();
  b.release();
  t.ok(isOpen(c.fd), 'releasing twice counts once');
  c.release();
  t.ok(await isClosed(c.fd));
});

await test('after the last release it is opened anew', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, textBytes(1, 1000));
  const pool = new BlobPool(new ReaderFactory());
  const first = await pool.open(fileRef(path), UNBOUNDED);
  first.release();
  const second = await pool.open(fileRef(path), UNBOUNDED);
  t.not(second.spec, first.spec);
  first.release();
  t.ok(isOpen(second.fd), 'an old user cannot close it');
  second.release();
});

await test('a file that was replaced is another', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, 'one');
  const pool = new BlobPool(new ReaderFactory());
  const first = await pool.open(fileRef(path), UNBOUNDED);
  writeFileSync(path, 'another');
  const second = await pool.open(fileRef(path), UNBOUNDED);
  t.not(second.fd, first.fd);
  t.equal(second.source.size, 7);
  first.release();
  second.release();
});

await test('a broken file fails for all who want it, and is closed', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, writeZfile(textBytes(1, 10_000), { header: { digest: 1 } }));
  const pool = new BlobPool(new ReaderFactory());
  const results = await Promise.allSettled([
    pool.open(fileRef(path), UNBOUNDED),
    pool.open(fileRef(path), UNBOUNDED),
  ]);
  t.ok(results.every(({ status }) => status === 'rejected'));
  writeFileSync(path, writeZfile(textBytes(1, 10_000)));
  const repaired = await pool.open(fileRef(path), UNBOUNDED);
  t.equal(repaired.source.size, 10_000);
  repaired.release();
});

await test('a blob of another thread is taken, or dropped for the one that is there', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, writeZfile(textBytes(1, 10_000)));
  const descriptors: string[] = [];
  const theirs = new BlobPool(new ReaderFactory(), {
    opened: (fd) => void descriptors.push(`+${fd}`),
    closed: (fd) => void descriptors.push(`-${fd}`),
  });
  const pool = new BlobPool(new ReaderFactory());
  const opened = await theirs.open(fileRef(path), UNBOUNDED);
  const mine = await pool.adopt(opened);
  t.equal(mine.fd, opened.fd);
  t.equal(mine.source.size, 10_000);
  const again = await new BlobPool(new ReaderFactory()).open(fileRef(path), UNBOUNDED);
  const dropped = await pool.adopt(again);
  t.equal(dropped.fd, mine.fd);
  t.ok(await isClosed(again.fd));
  mine.release();
  t.ok(isOpen(dropped.fd));
  dropped.release();
  t.ok(await isClosed(opened.fd));
  t.same(descriptors, [`+${opened.fd}`], 'whoever has it now is who closes it');
});

await test('a plain file is not looked into', async (t) => {
  const path = join(t.testdir(), 'blob');
  const bytes = writeZfile(textBytes(1, 10_000));
  writeFileSync(path, bytes);
  const pool = new BlobPool(new ReaderFactory());
  const plain = await pool.openPlain(fileRef(path));
  t.equal(plain.source.size, bytes.length);
  const peeled = await pool.open(fileRef(path), UNBOUNDED);
  t.equal(peeled.source.size, 10_000);
  plain.release();
  peeled.release();
});

await test('what is too much for one image is not for another that wants the same file', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, writeZfile(textBytes(1, 10_000)));
  const pool = new BlobPool(new ReaderFactory());
  const limited = {
    ...UNBOUNDED,
    keep: () => {
      throw new Error('too much');
    },
  };
  const [first, second] = await Promise.allSettled([
    pool.open(fileRef(path), limited),
    pool.open(fileRef(path), UNBOUNDED),
  ]);
  t.match(first, { status: 'rejected', reason: { message: 'too much' } });
  if (second.status === 'rejected') throw second.reason;
  t.equal(second.value.source.size, 10_000);
  second.value.release();
});
