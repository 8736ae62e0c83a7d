// What the threads of the file pool read ahead of clients: the rest of a region of a file where two reads had to wait.
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { closeFile, loadRange, openPath } from '../../../daemon/blob/file-jobs.js';
import { EAGAIN } from '../../../daemon/lib/errno.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { filePipes } from '../../../daemon/native/file-pipe.js';

const KIB = 1024;
const PAGE = 4 * KIB;
const REGION = 128 * KIB;
const FIRST = 3 * REGION;
const OTHER = 8 * REGION;
/** In a region, far from what the test reads there. */
const END = 96 * KIB;
const LIMIT_MS = 120_000;

await t.test('after the second read in a region, its rest is in the page cache', async (test) => {
  const path = join(test.testdir(), 'file');
  writeFileSync(path, '');
  // Nothing of a hole is in the page cache before it is read.
  truncateSync(path, 16 * REGION);
  const { fd } = await openPath(path);
  test.teardown(() => closeFile(fd));
  const ends = new Int32Array(2);
  filePipes.make(ends, 4 * PAGE);
  const writeEnd = ends[1] as number;
  test.teardown(() => ends.forEach((end) => descriptors.close(end)));
  // Tells what is in the page cache, and reads nothing.
  const fill = (position: number): number => filePipes.fill(fd, position, writeEnd, PAGE);
  const read = (position: number): Promise<void> => loadRange(fd, path, position, PAGE, position);

  await read(OTHER);
  if (fill(OTHER + END) !== -EAGAIN) {
    test.pass('page cache', { skip: 'NOT TESTED: the file system has no page cache of its own' });
    return;
  }
  await read(FIRST);
  test.equal(fill(FIRST + END), -EAGAIN, 'one read is only one read');
  await read(FIRST + 32 * KIB);
  let n = fill(FIRST + END);
  for (const begin = Date.now(); n === -EAGAIN && Date.now() - begin < LIMIT_MS;) {
    await sleep(10);
    n = fill(FIRST + END);
  }
  test.equal(n, PAGE, 'the rest of the region');
  test.equal(fill(OTHER + END), -EAGAIN, 'a region with one read');
});
