// The addon's file jobs: what each kind does, how it ends, and that files stay open as long as needed.
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  openSync,
  readlinkSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { constants, getPriority } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { EAGAIN, EBADF, ENOENT, ENXIO } from '../../../daemon/lib/errno.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { files } from '../../../daemon/native/file.js';
import { sockets } from '../../../daemon/native/socket.js';
import { randomBytes } from '../../support/pattern.js';

const SIZE = 300_000;
const content = randomBytes(5, SIZE);
const NO_SUCH_FD = 99_999;
const ENOTBLK = 15;
const { EINVAL, ENAMETOOLONG, ENOTDIR } = constants.errno;

interface End {
  readonly result: number;
  readonly values: Float64Array;
  readonly identity: string;
}

const waiting = new Map<number, (end: End) => void>();
let last = 0;
files.onJobEnd((job, result, values, identity) => {
  const tell = waiting.get(job);
  if (!tell) throw new Error(`job ${job}: no test started it, or it ended twice`);
  waiting.delete(job);
  tell({ result, values: values ?? new Float64Array(0), identity: identity ?? '' });
});

function run(start: (job: number) => number): Promise<End> {
  const job = ++last;
  const refused = start(job);
  if (refused < 0) throw new Error(`refused: ${refused}`);
  return new Promise((resolve) => waiting.set(job, resolve));
}

const opening = (path: string): Promise<End> => run((job) => files.startOpen(job, path));
const looking = async (path: string): Promise<number> =>
  (await run((job) => files.startExists(job, path))).result;
const loading = async (fd: number, position: number, length: number): Promise<number> =>
  (await run((job) => files.startLoad(job, fd, position, length))).result;

async function open(
  test: Test,
  bytes: Uint8Array = content,
): Promise<{ fd: number; path: string }> {
  const path = join(test.testdir(), 'file');
  writeFileSync(path, bytes);
  const { result: fd } = await opening(path);
  test.teardown(() => files.close(fd));
  return { fd, path };
}

await t.test(
  'promise reactions run when all jobs that have ended together are told',
  async (test) => {
    const { fd } = await open(test);
    const sleeping = new Int32Array(new SharedArrayBuffer(4));
    const load = async (order: string[]): Promise<void> => {
      const job = ++last;
      const ended = new Promise<void>((resolve) =>
        waiting.set(job, () => {
          order.push('told');
          resolve();
        }),
      );
      test.equal(files.startLoad(job, fd, 0, 100), 0);
      await ended;
      order.push('goes on');
    };
    let order: string[] = [];
    // On a busy machine both may not have ended in the time that this thread sleeps.
    for (let tries = 0; tries < 1000 && order[1] !== 'told'; tries++) {
      order = [];
      const both = [load(order), load(order)];
      Atomics.wait(sleeping, 0, 0, 50);
      await Promise.all(both);
    }
    test.same(order, ['told', 'told', 'goes on', 'goes on']);
    files.close(fd);
  },
);

await t.test('open: a descriptor for reading, its size and identity', async (test) => {
  const { path } = await open(test);
  const { dev, ino, size, mtimeNs } = statSync(path, { bigint: true });
  const { result: fd, values, identity } = await opening(path);
  test.equal(readlinkSync(`/proc/self/fd/${fd}`), path);
  test.same([...values], [SIZE, 0]);
  test.equal(identity, `${dev}:${ino}:${size}:${mtimeNs}`);
  files.close(fd);
});

await t.test('open: other kinds of files are not opened', async (test) => {
  const folder = test.testdir();
  mkdirSync(join(folder, 'dir'));
  writeFileSync(join(folder, 'file'), '');
  test.equal((await opening(join(folder, 'absent'))).result, -ENOENT);
  test.equal((await opening(join(folder, 'file', 'below'))).result, -ENOTDIR);
  for (const path of [join(folder, 'dir'), '/dev/null', '/dev/zero', '/proc/self/fd']) {
    const { result, identity } = await opening(path);
    test.equal(result, -ENOTBLK, path);
    test.equal(identity, '');
  }
  test.equal(files.startOpen(0, ''), -ENOENT);
  test.equal(files.startOpen(0, 'x'.repeat(5000)), -ENAMETOOLONG);
  test.throws(() => files.startOpen(0, 'a\0b'), RangeError);
});

await t.test('look: whether a path exists', async (test) => {
  const { path } = await open(test);
  test.equal(await looking(path), 0);
  test.equal(await looking('/dev/null'), 0);
  test.equal(await looking(join(path, 'below')), -ENOTDIR);
  test.equal(await looking(`${path}.not`), -ENOENT);
});

await t.test('load, then read without blocking', async (test) => {
  const { fd } = await open(test);
  const buffer = Buffer.alloc(SIZE + 100);
  test.equal(await loading(fd, 0, SIZE), SIZE);
  test.equal(files.readAtHand(fd, buffer, 7, SIZE, 0), SIZE);
  test.equal(buffer.compare(content, 0, SIZE, 7, 7 + SIZE), 0);
  test.equal(buffer[6], 0);
  test.equal(buffer[7 + SIZE], 0);
  test.equal(files.readAtHand(fd, buffer, 0, 100, SIZE - 30), 30, 'short at the end');
  test.equal(files.readAtHand(fd, buffer, buffer.length, 0, 5), 0);
  const shared = new Uint8Array(new SharedArrayBuffer(64), 8, 16);
  test.equal(files.readAtHand(fd, shared, 4, 12, 1000), 12);
  test.equal(Buffer.from(shared.slice(4)).compare(content, 1000, 1012), 0);
});

await t.test('load returns how many bytes there are', async (test) => {
  const { fd, path } = await open(test);
  test.equal(await loading(fd, SIZE - 30, 100), 30);
  test.equal(await loading(fd, SIZE, 100), 0);
  test.equal(await loading(fd, Number.MAX_SAFE_INTEGER - 1, 1), 0);
  truncateSync(path, 10);
  test.equal(await loading(fd, 5, 100), 5);
});

await t.test('extents: runs of data, up to the size at opening', async (test) => {
  const { fd, path } = await open(test, Buffer.alloc(65_536, 1));
  truncateSync(path, 1 << 20);
  const asking = (position: number, length: number, end: number): Promise<End> =>
    run((job) => files.startExtents(job, fd, position, length, end));
  const { result, values } = await asking(100, 1000, 1 << 20);
  test.equal(result, 1000);
  test.equal(values.length, 2);
  test.equal(values[0], 100);
  test.ok((values[1] as number) >= 65_536, 'to the end of the run, past the asked range');
  const all = await asking(0, 1 << 20, 1 << 20);
  test.equal(all.result, 1 << 20);
  test.equal(all.values[0], 0);
  test.ok((all.values[1] as number) >= 65_536);
  const hole = await asking(1 << 19, 4096, 1 << 20);
  if (all.values[1] === 65_536) test.same([...hole.values], [], 'all one hole');
  test.equal((await asking(0, 4096, (1 << 20) + 1)).result, -ENXIO, 'the file was longer');
  test.equal((await asking(1 << 20, 4096, (1 << 20) + 1)).result, -ENXIO);
});

await t.test('extents of a block device, which has no holes, and one that shrank', async (test) => {
  const path = join(test.testdir(), 'disk');
  writeFileSync(path, Buffer.alloc(1 << 20, 1));
  const made = spawnSync('losetup', ['-f', '-r', '--show', path], { encoding: 'utf8' });
  if (made.status !== 0) {
    test.pass('a loop device', { skip: `NOT TESTED, no loop device: ${made.stderr}` });
    return;
  }
  const loop = made.stdout.trim();
  test.teardown(() => spawnSync('losetup', ['-d', loop]));
  const { result: fd, values } = await opening(loop);
  test.same([...values], [1 << 20, 1]);
  test.teardown(() => files.close(fd));
  const asking = async (position: number): Promise<number> =>
    (await run((job) => files.startExtents(job, fd, position, 4096, 1 << 20))).result;
  test.equal(await asking(0), -EINVAL, 'all of it may be data');
  truncateSync(path, 1 << 19);
  test.equal(spawnSync('losetup', ['-c', loop]).status, 0);
  for (const position of [0, 1 << 19, (1 << 20) - 4096]) {
    test.equal(await asking(position), -ENXIO, 'the device was longer');
  }
});

await t.test('prefetch succeeds', async (test) => {
  const { fd } = await open(test);
  test.equal((await run((job) => files.startPrefetch(job, fd, 4096, 8192))).result, 0);
});

await t.test('jobs on descriptors that are not files fail with an errno', async (test) => {
  const buffer = Buffer.alloc(4);
  const [a, b] = sockets.pair();
  test.equal(await loading(a, 0, 4), -constants.errno.ESPIPE);
  test.ok(files.readAtHand(a, buffer, 0, 4, 0) < 0);
  descriptors.close(a);
  descriptors.close(b);
  test.equal(await loading(NO_SUCH_FD, 0, 4), -EBADF);
  test.equal(files.readAtHand(NO_SUCH_FD, buffer, 0, 4, 0), -EBADF);
  const folder = openSync(test.testdir(), 'r');
  test.equal(await loading(folder, 0, 4), -constants.errno.EISDIR);
  closeSync(folder);
});

await t.test('a thousand jobs at once end, each once', async (test) => {
  const { fd } = await open(test);
  const ends = await Promise.all(
    Array.from({ length: 1000 }, (_, i) => loading(fd, i * 100, 1000)),
  );
  test.same(new Set(ends), new Set([1000]));
  test.equal(waiting.size, 0);
});

await t.test('close waits for running jobs, and ends waiting ones', async (test) => {
  const path = join(test.testdir(), 'file');
  const size = 8 << 20;
  writeFileSync(path, Buffer.alloc(size, 1));
  // All may have ended before the close, if this thread gets no time.
  for (let rounds = 1; ; rounds++) {
    const { result: fd } = await opening(path);
    const jobs = Array.from({ length: 500 }, () => loading(fd, 0, size));
    files.close(fd);
    files.close(fd);
    const ends = await Promise.all(jobs);
    const others = ends.filter((each) => each !== size && each !== -EBADF);
    if (others.length > 0 || ends.includes(-EBADF) || rounds === 50) {
      test.same(others, []);
      test.ok(ends.includes(-EBADF));
      break;
    }
  }
});

await t.test('a thread of the pool has the priority of the process', (test) => {
  const folder = test.testdir();
  const paths = Array.from({ length: 8 }, (_, i) => join(folder, `${i}`));
  for (const path of paths) writeFileSync(path, Buffer.alloc(8 << 20, 1));
  const program = fileURLToPath(new URL('file-pool-worker.js', import.meta.url));
  const line = [program, ...paths];
  const { stdout, stderr, status } = spawnSync(process.execPath, line, { encoding: 'utf8' });
  test.equal(status, 0, stderr);
  const values = stdout.trim().split(' ');
  test.ok(values.length >= 4, `${values.length} threads`);
  test.same([...new Set(values)], [`${getPriority()}`]);
  test.end();
});

await t.test('a burst of jobs starts no more threads than may work for it', (test) => {
  const folder = test.testdir();
  const paths = Array.from({ length: 8 }, (_, i) => join(folder, `${i}`));
  for (const path of paths) writeFileSync(path, 'x');
  const program = fileURLToPath(new URL('file-pool-burst-worker.js', import.meta.url));
  const line = [program, ...paths];
  const { stdout, stderr, status } = spawnSync(process.execPath, line, { encoding: 'utf8' });
  test.equal(status, 0, stderr);
  const threads = Number(stdout);
  // 8 may work for one device, and 4 be on their way.
  test.ok(threads >= 1 && threads <= 12, `${threads} threads`);
  test.end();
});

await t.test('wrong arguments are refused', (test) => {
  test.throws(() => files.startLoad(1, 0, 0, 0), RangeError);
  test.throws(() => files.startLoad(1, -1, 0, 1), RangeError);
  test.throws(() => files.deadline(0), RangeError);
  test.throws(() => files.onJobEnd(7 as unknown as () => void), TypeError);
  test.equal(
    files.onJobEnd(() => undefined),
    -constants.errno.EALREADY,
    'once',
  );
  test.equal(files.deadline(), 8000);
  test.same(files.stuckJobs(), []);
  test.ok(EAGAIN > 0);
  test.end();
});
