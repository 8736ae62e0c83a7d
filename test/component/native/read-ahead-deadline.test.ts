// The deadline of what the file pool reads ahead: the reads after it in the queue of the file must not wait longer than theirs.
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { closeFile, loadRange, openPath } from '../../../daemon/blob/file-jobs.js';
import { files } from '../../../daemon/native/file.js';
import { shortFolder } from '../../support/daemon-process.js';
import { requireStallableDisk, stallableDisk } from '../../support/stallable-disk.js';

const PAGE = 4096;
const REGION = 128 * 1024;
const SIZE = 16 << 20;
/** Nothing from here on is in the page cache when the disk stalls. */
const COLD = SIZE / 2;
/** Of native/src/file-pool.h. */
const THREADS_PER_FILE = 4;
const DEADLINE_MS = 1500;
/** Deadlines that pass, one after another, before the test gives up. */
const PATIENCE = 4;

await t.test('a read after a region that is read ahead ends in its time', async (test) => {
  if (!requireStallableDisk(test)) return;
  const disk = await stallableDisk(test, shortFolder(test), Buffer.alloc(SIZE));
  // The pool reads ahead in files that can be asked without waiting. FUSE has none.
  const made = spawnSync('losetup', ['-f', '-r', '--show', disk.path], { encoding: 'utf8' });
  if (made.status !== 0) {
    test.pass('a loop device', { skip: `NOT TESTED, no loop device: ${made.stderr}` });
    return;
  }
  const path = made.stdout.trim();
  const [{ fd }, { fd: clock }] = [await openPath(path), await openPath(path)];
  const usual = files.deadline();
  test.teardown(() => {
    disk.resume();
    files.deadline(usual);
    for (const each of [fd, clock]) closeFile(each);
    spawnSync('losetup', ['-d', path]);
  });
  const read = (position: number, of = fd): Promise<void> =>
    loadRange(of, path, position, PAGE, position);
  let places = 0;
  /** In a region of its own. */
  const stuck = (of = fd): Promise<string> =>
    read(COLD + 2 * REGION * places++, of).then(
      () => 'read',
      (error: Error) => error.message,
    );

  await read(0);
  // Into the page cache.
  await read(REGION / 2, clock);
  await disk.stall();
  files.deadline(DEADLINE_MS);
  const all = Array.from({ length: THREADS_PER_FILE - 1 }, () => stuck());
  // It makes the region one to read ahead, which comes after a read that takes the last thread.
  const second = read(REGION / 2);
  all.push(stuck());
  await second;
  const ended: string[] = [];
  const last = stuck().then((message) => ended.push(message));
  let waited = 0;
  while (ended.length === 0 && waited++ < PATIENCE) await stuck(clock);
  test.equal(ended.length, 1, `after ${waited} times the deadline`);
  await last;
  ended.push(...(await Promise.all(all)));
  for (const message of ended) test.match(message, /no answer within/);
});
