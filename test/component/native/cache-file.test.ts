// The addon's calls for files of the cache: locks of ranges, memory that is read like a file, and that files
// of a thread end with it. What the jobs do is tested in test/unit/cache/disk.test.ts.
import { once } from 'node:events';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { test } from 'tap';
import { EAGAIN, EBADF } from '../../../daemon/lib/errno.js';
import {
  cacheFiles,
  LOCK_EXCLUSIVE,
  LOCK_NONE,
  LOCK_SHARED,
} from '../../../daemon/native/cache-file.js';
import { files } from '../../../daemon/native/file.js';

function lock(fd: number, position: number, kind: 0 | 1 | 2): number {
  return cacheFiles.lock(fd, position, 8, kind);
}

await test('locks of ranges belong to an open file description', (t) => {
  const path = join(t.testdir(), 'file');
  writeFileSync(path, '');
  const [one, two, three] = [0, 1, 2].map(() => openSync(path, 'r+')) as [number, number, number];
  t.equal(lock(one, 8, LOCK_EXCLUSIVE), 0);
  t.equal(lock(two, 8, LOCK_EXCLUSIVE), -EAGAIN);
  t.equal(lock(two, 12, LOCK_SHARED), -EAGAIN, 'it overlaps');
  t.equal(lock(two, 16, LOCK_EXCLUSIVE), 0, 'beside it');
  t.equal(lock(two, 2 ** 50, LOCK_EXCLUSIVE), 0, 'far past the end');
  t.equal(lock(one, 8, LOCK_SHARED), 0);
  t.equal(lock(two, 8, LOCK_SHARED), 0);
  t.equal(lock(one, 8, LOCK_EXCLUSIVE), -EAGAIN, 'two share it');
  t.equal(lock(three, 8, LOCK_EXCLUSIVE), -EAGAIN, 'and it is still shared');
  t.equal(lock(two, 8, LOCK_NONE), 0);
  t.equal(lock(one, 8, LOCK_EXCLUSIVE), 0);
  closeSync(one);
  t.equal(lock(three, 8, LOCK_EXCLUSIVE), 0, 'a lock ends with its file');
  closeSync(two);
  closeSync(three);
  t.equal(lock(99_999, 8, LOCK_SHARED), -EBADF);
  t.throws(() => cacheFiles.lock(1, 0, 0, LOCK_SHARED), RangeError);
  t.throws(() => cacheFiles.lock(1, 0, 1, 3 as 2), RangeError);
  t.end();
});

await test('memory is read without waiting', (t) => {
  const fd = cacheFiles.memory(100_000);
  t.ok(fd >= 0);
  writeSync(fd, 'hello', 50_000);
  const bytes = Buffer.alloc(5);
  t.equal(files.readAtHand(fd, bytes, 0, 5, 50_000), 5);
  t.equal(String(bytes), 'hello');
  t.equal(files.readAtHand(fd, bytes, 0, 5, 0), 5);
  t.ok(bytes.every((byte) => byte === 0));
  files.close(fd);
  t.end();
});

await test('files of a thread that dies are closed, and their locks end; data files stay', async (t) => {
  const path = join(t.testdir(), 'file');
  const script = fileURLToPath(new URL('cache-file-worker.js', import.meta.url));
  const worker = new Worker(script, { workerData: path });
  const [[own, shared]] = (await once(worker, 'message')) as [[number, number]];
  const mine = openSync(path, 'r+');
  t.equal(cacheFiles.lock(mine, 0, 1, LOCK_EXCLUSIVE), -EAGAIN);
  await worker.terminate();
  // The pool closes it on a thread of its own.
  while (cacheFiles.lock(mine, 0, 1, LOCK_EXCLUSIVE) !== 0) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  writeSync(mine, 'x', 0);
  t.equal(files.readAtHand(shared, Buffer.alloc(1), 0, 1, 0), 1);
  t.not(own, shared);
  files.close(shared);
  closeSync(mine);
});
