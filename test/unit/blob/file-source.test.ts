// Files as sources: names in errors, descriptors that cannot be read, RWF_NOWAIT. What all sources share is in test/contract.
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { FileSource } from '../../../daemon/blob/file-source.js';
import { randomBytes } from '../../support/pattern.js';

const BYTES = randomBytes(1, 10_000);

function open(t: Test, flags = 'r', size = BYTES.length): FileSource {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, BYTES);
  const fd = openSync(path, flags);
  t.teardown(() => closeSync(fd));
  return new FileSource({ kind: 'file', name: 'blob', fd, base: 0, size });
}

const fail =
  (source: FileSource, offset: number, length: number, mayBlock = true) =>
  () =>
    source.read(Buffer.alloc(length), 0, length, offset, mayBlock);

await test('a file shorter than it was says how much is there', (t) => {
  const source = open(t, 'r', 20_000);
  t.throws(fail(source, 9000, 5000), {
    code: 'SHORT_READ',
    message: 'blob: read of 5000 bytes at 9000: the file ends after 1000 of them',
  });
  t.throws(fail(source, 15_000, 10), { code: 'SHORT_READ', message: /ends after 0 of them$/ });
  t.throws(fail(source, 19_999, 2), { code: 'SHORT_READ', message: /ends after 1 of them$/ });
  t.equal(fail(source, 9000, 5000, false)(), false, 'without blocking: not here, wait for it');
  t.end();
});

await test('an error of the system is named', (t) => {
  const source = open(t, 'a');
  const message =
    'blob: read of 100 bytes at 7: EBADF (bad file descriptor); check the disk that holds it';
  for (const mayBlock of [true, false]) {
    t.throws(fail(source, 7, 100, mayBlock), { code: 'IO', message });
  }
  t.end();
});

await test('load swallows errors: the read names them', async (t) => {
  await open(t, 'a').load(0, 1000);
  await open(t).load(0, 1e12);
  await open(t).load(50_000, 10);
  t.throws(fail(open(t, 'a'), 0, 1), { code: 'IO' });
});

await test('a spec makes the same source again, slices too', (t) => {
  const slice = open(t).slice(100, 50, 'part').slice(10, 20, 'inner');
  t.match(slice.spec, { kind: 'file', name: 'inner', base: 110, size: 20 });
  const dst = Buffer.alloc(20);
  t.equal(new FileSource(slice.spec).read(dst, 0, 20, 0, true), true);
  t.ok(dst.equals(BYTES.subarray(110, 130)));
  t.throws(fail(slice, 15, 6), {
    code: 'SHORT_READ',
    message: 'inner: read of 6 bytes at 15: the file ends after 5 of them',
  });
  t.end();
});

await test('a file that grew shows no more than it had', (t) => {
  const source = open(t, 'r', 5000);
  t.throws(fail(source, 4999, 2), { code: 'SHORT_READ' });
  t.equal(fail(source, 4999, 1)(), true);
  t.end();
});
