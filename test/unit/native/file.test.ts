// The file half of the addon: pread and its variants, holes, sizes, advice.
import { closeSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  EAGAIN,
  EBADF,
  EINVAL,
  ENXIO,
  EOPNOTSUPP,
  ESPIPE,
  FADV_DONTNEED,
  FADV_NOREUSE,
  FADV_NORMAL,
  FADV_RANDOM,
  FADV_SEQUENTIAL,
  FADV_WILLNEED,
  native,
} from '../../../daemon/native/binding.js';

const NO_SUCH_FD = 1_000_000;
const SIZE = 100_000;
const content = Buffer.from(Uint8Array.from({ length: SIZE }, (_, i) => (i * 7) ^ (i >> 8)));

function openFile(test: Test, fill: (fd: number) => void): number {
  const fd = openSync(join(test.testdir(), 'file'), 'w+');
  test.teardown(() => closeSync(fd));
  fill(fd);
  return fd;
}

await t.test('pread', async (test) => {
  const fd = openFile(test, (file) => writeSync(file, content));
  const buffer = Buffer.alloc(SIZE + 50);
  test.equal(native.pread(fd, buffer, 7, SIZE, 0), SIZE);
  test.equal(buffer.compare(content, 0, SIZE, 7, 7 + SIZE), 0);
  test.equal(buffer[6], 0);
  test.equal(buffer[7 + SIZE], 0);
  test.equal(native.pread(fd, buffer, 0, 100, SIZE - 30), 30, 'short at the end');
  test.equal(buffer.compare(content, SIZE - 30, SIZE, 0, 30), 0);
  test.equal(native.pread(fd, buffer, 0, 100, SIZE), 0);
  test.equal(native.pread(fd, buffer, 0, 100, Number.MAX_SAFE_INTEGER), 0);
  test.equal(native.pread(fd, buffer, buffer.length, 0, 5), 0);
  const shared = new Uint8Array(new SharedArrayBuffer(64), 8, 16);
  test.equal(native.pread(fd, shared, 4, 12, 1000), 12);
  test.equal(Buffer.from(shared.slice(4)).compare(content, 1000, 1012), 0);
});

await t.test('pread and sizes beyond 32 bits', async (test) => {
  const position = 2 ** 32 + 12_345;
  const fd = openFile(test, (file) => writeSync(file, content, 0, 10, position));
  const buffer = Buffer.alloc(10);
  test.equal(native.fileSize(fd), position + 10);
  test.equal(native.pread(fd, buffer, 0, 10, position), 10);
  test.equal(buffer.compare(content, 0, 10), 0);
  const n = native.preadNoWait(fd, buffer, 0, 5, position + 5);
  test.ok(n === 5 || n === -EOPNOTSUPP, `${n}`);
  test.ok(native.seekData(fd, position - 1) >= position - 1);
});

await t.test('preadNoWait: from the page cache', async (test) => {
  const fd = openFile(test, (file) => writeSync(file, content));
  const buffer = Buffer.alloc(SIZE);
  const n = native.preadNoWait(fd, buffer, 0, SIZE, 0);
  if (n === -EOPNOTSUPP) {
    test.comment('SKIPPED: this file system has no RWF_NOWAIT');
    return;
  }
  test.equal(n, SIZE, 'just written, so it is there');
  test.equal(buffer.compare(content), 0);
  test.equal(native.preadNoWait(fd, buffer, 0, 100, SIZE - 30), 30, 'short at the end');
  test.equal(native.preadNoWait(fd, buffer, 0, 100, SIZE), 0);
  test.equal(native.preadNoWait(fd, buffer, 0, 0, 0), 0);
});

await t.test('preadNoWait: out of the page cache', async (test) => {
  const fd = openFile(test, (file) => writeSync(file, content));
  fsyncSync(fd);
  test.equal(native.fadvise(fd, 0, 0, FADV_DONTNEED), 0);
  const buffer = Buffer.alloc(SIZE);
  const n = native.preadNoWait(fd, buffer, 0, SIZE, 0);
  // Memory file systems keep their pages, and the kernel may too: then it reads all of it.
  test.comment(`preadNoWait of evicted pages: ${n}`);
  test.ok(n === -EAGAIN || n === -EOPNOTSUPP || n > 0, `${n}`);
  if (n > 0) test.equal(buffer.compare(content, 0, n, 0, n), 0);
  test.equal(native.pread(fd, buffer, 0, SIZE, 0), SIZE, 'pread waits');
  test.equal(buffer.compare(content), 0);
});

await t.test('seekData and seekHole', async (test) => {
  const start = 1 << 20;
  const end = start + (64 << 10);
  const fd = openFile(test, (file) => {
    writeSync(file, Buffer.alloc(end - start, 1), 0, end - start, start);
    ftruncateSync(file, 4 << 20);
  });
  // A file system that knows no holes says that everything is data up to the end.
  const data = native.seekData(fd, 0);
  const hole = native.seekHole(fd, start);
  test.ok(data === start || data === 0, `data ${data}`);
  test.ok(hole >= end && hole <= 4 << 20, `hole ${hole}`);
  test.equal(native.seekData(fd, start + 5), start + 5);
  for (const position of [4 << 20, 5 << 20]) {
    test.equal(native.seekData(fd, position), -ENXIO);
    test.equal(native.seekHole(fd, position), -ENXIO);
  }
  test.equal(native.fileSize(fd), 4 << 20);
});

await t.test('fadvise', async (test) => {
  const fd = openFile(test, (file) => writeSync(file, content));
  const all = [FADV_NORMAL, FADV_RANDOM, FADV_SEQUENTIAL, FADV_WILLNEED, FADV_DONTNEED];
  for (const advice of [...all, FADV_NOREUSE]) {
    test.equal(native.fadvise(fd, 4096, 8192, advice), 0);
  }
  test.equal(native.fadvise(fd, 0, 0, FADV_WILLNEED), 0);
  test.throws(() => native.fadvise(fd, 0, 0, 6), RangeError);
});

await t.test('what is no file', async (test) => {
  const buffer = Buffer.alloc(4);
  const [a, b] = native.socketpair();
  test.equal(native.pread(a, buffer, 0, 4, 0), -ESPIPE);
  test.equal(native.preadNoWait(a, buffer, 0, 4, 0), -ESPIPE);
  test.equal(native.seekData(a, 0), -ESPIPE);
  test.equal(native.seekHole(a, 0), -ESPIPE);
  test.equal(native.fileSize(a), -ESPIPE);
  test.ok([-ESPIPE, -EINVAL, 0].includes(native.fadvise(a, 0, 0, FADV_NORMAL)));
  native.close(a);
  native.close(b);

  const folder = openSync(test.testdir(), 'r');
  test.equal(native.pread(folder, buffer, 0, 4, 0), -constants.errno.EISDIR);
  test.equal(native.close(folder), 0);

  test.equal(native.pread(NO_SUCH_FD, buffer, 0, 4, 0), -EBADF);
  test.equal(native.preadNoWait(NO_SUCH_FD, buffer, 0, 4, 0), -EBADF);
  test.equal(native.seekData(NO_SUCH_FD, 0), -EBADF);
  test.equal(native.seekHole(NO_SUCH_FD, 0), -EBADF);
  test.equal(native.fileSize(NO_SUCH_FD), -EBADF);
  test.equal(native.fadvise(NO_SUCH_FD, 0, 0, FADV_NORMAL), -EBADF);
});
