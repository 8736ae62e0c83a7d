// Pipes between files and sockets: bytes pass through, and errors are reported.
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { closeFile, loadRange, openPath } from '../../../daemon/blob/file-jobs.js';
import { EAGAIN, EBADF, EOPNOTSUPP, EPERM } from '../../../daemon/lib/errno.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { filePipes } from '../../../daemon/native/file-pipe.js';
import { sockets } from '../../../daemon/native/socket.js';
import { randomBytes } from '../../support/pattern.js';

const SIZE = 300_000;
const content = randomBytes(5, SIZE);

function pipe(test: Test, size: number): { ends: Int32Array; capacity: number } {
  const ends = new Int32Array(2);
  const capacity = filePipes.make(ends, size);
  test.teardown(() => ends.forEach((fd) => descriptors.close(fd)));
  return { ends, capacity };
}

async function file(test: Test): Promise<number> {
  const path = join(test.testdir(), 'file');
  writeFileSync(path, content);
  const { fd } = await openPath(path);
  test.teardown(() => closeFile(fd));
  // A pipe takes only what is in the page cache.
  await loadRange(fd, path, 0, SIZE, 0);
  return fd;
}

function socketPair(test: Test): [number, number] {
  const pair = sockets.pair();
  test.teardown(() => pair.forEach((fd) => descriptors.close(fd)));
  return pair;
}

/** For some file systems the kernel cannot tell what is in the page cache. */
function canFill(test: Test, fd: number, end: number): boolean {
  const n = filePipes.fill(fd, 0, end, 1);
  if (n !== -EOPNOTSUPP && n !== -EPERM) return true;
  test.pass('page cache', {
    skip: 'NOT TESTED: the file system does not say what is in the page cache',
  });
  return false;
}

await t.test('bytes of a file arrive, from any place in a page', async (test) => {
  const fd = await file(test);
  const [here, there] = socketPair(test);
  const { ends, capacity } = pipe(test, 1 << 19);
  test.ok(capacity >= 1 << 16);
  const [readEnd = -1, writeEnd = -1] = ends;
  if (!canFill(test, fd, pipe(test, 4096).ends[1] as number)) return;
  const got = Buffer.alloc(SIZE + 1);
  for (const [position, length] of [
    [0, SIZE],
    [1024, 65_536],
    [4095, 2],
    [SIZE - 1, 1],
  ] as const) {
    const filled = filePipes.fill(fd, position, writeEnd, length);
    test.equal(filled, length);
    if (filled !== length) return;
    let received = 0;
    for (let left = length; left > 0;) {
      const sent = filePipes.drain(readEnd, here, left);
      if (sent > 0) left -= sent;
      else test.equal(sent, -EAGAIN);
      for (;;) {
        const n = sockets.recv(there, got, received, got.length - received);
        if (n <= 0) break;
        received += n;
      }
    }
    test.equal(received, length);
    test.ok(got.subarray(0, length).equals(content.subarray(position, position + length)));
  }
  test.equal(filePipes.drain(readEnd, here, 1), -EAGAIN, 'the pipe is empty');
});

await t.test('short fills: a full pipe, and the end of a file', async (test) => {
  const fd = await file(test);
  const small = pipe(test, 65_536);
  if (!canFill(test, fd, pipe(test, 4096).ends[1] as number)) return;
  const n = filePipes.fill(fd, 0, small.ends[1] as number, 200_000);
  test.equal(n, small.capacity);
  truncateSync(join(test.testdirName, 'file'), 10_000);
  const rest = filePipes.fill(fd, 0, pipe(test, 65_536).ends[1] as number, 20_000);
  test.ok(rest === -EAGAIN || rest === 10_000, `the rest of the file, or nothing: ${rest}`);
  test.equal(filePipes.fill(fd, 8192, pipe(test, 65_536).ends[1] as number, 4000), 1808);
  test.equal(filePipes.fill(fd, 0, small.ends[1] as number, 0), 0);
});

await t.test('wrong descriptors and arguments are refused', async (test) => {
  const fd = await file(test);
  const { ends } = pipe(test, 65_536);
  const none = 1_000_000;
  const wrong = filePipes.fill(none, 0, ends[1] as number, 10);
  test.equal(wrong, -EOPNOTSUPP, 'the page cache is not known for it');
  test.ok(filePipes.fill(fd, 0, none, 10) < 0);
  test.equal(filePipes.drain(none, none, 10), -EBADF);
  test.throws(() => filePipes.make(new Int32Array(1), 4096), RangeError);
  test.throws(() => filePipes.fill(fd, -1, ends[1] as number, 10), RangeError);
  test.throws(() => filePipes.drain(ends[0] as number, fd, 0), RangeError);
});
