// Files as sources: names in errors, and reads that fail. What all sources share is in test/contract.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { closeFile } from '../../../daemon/blob/file-jobs.js';
import { FileSource } from '../../../daemon/blob/file-source.js';
import { openFile } from '../../../daemon/blob/open-file.js';
import { readFully } from '../../../daemon/blob/source.js';
import { randomBytes } from '../../support/pattern.js';

const BYTES = randomBytes(1, 10_000);

/** @param size the file's size when it is opened; afterwards it is cut to `BYTES` */
async function open(t: Test, size = BYTES.length): Promise<FileSource> {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, BYTES);
  truncateSync(path, size);
  const { fd, spec } = await openFile(path);
  t.teardown(() => closeFile(fd));
  if (size > BYTES.length) truncateSync(path, BYTES.length);
  return new FileSource({ ...spec, name: 'blob' });
}

/** A descriptor that cannot be read from. */
function unreadable(t: Test): FileSource {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, BYTES);
  const fd = openSync(path, 'a');
  t.teardown(() => closeSync(fd));
  return new FileSource({ kind: 'file', name: 'blob', fd, base: 0, size: BYTES.length });
}

const reads = (source: FileSource, offset: number, length: number): boolean =>
  source.read(offset, length, Buffer.alloc(length), 0);

await test('a file that became shorter: the error tells how many bytes there are', async (t) => {
  const source = await open(t, 20_000);
  t.equal(
    reads(source, 9000, 5000),
    false,
    'a read without blocking never fails, it returns false',
  );
  await t.rejects(source.load(9000, 5000), {
    code: 'SHORT_READ',
    message: 'blob: read of 5000 bytes at 9000: the file ends after 1000 of them',
    facts: { blob: 'blob', offset: 9000 },
  });
  await t.rejects(source.load(15_000, 10), { message: /ends after 0 of them$/ });
  t.throws(() => reads(source, 19_999, 2), { message: /ends after 1 of them$/ });
  await t.rejects(source.load(19_999, 2), { code: 'SHORT_READ', message: /ends after 1 of them$/ });
  await t.rejects(readFully(source, 9000, 5000), { code: 'SHORT_READ' });
});

await test('a system error is reported by its name', async (t) => {
  const source = unreadable(t);
  t.equal(reads(source, 7, 100), false);
  await t.rejects(source.load(7, 100), {
    code: 'IO',
    message:
      'blob: read of 100 bytes at 7: EBADF (bad file descriptor); check the disk that holds it',
    facts: { blob: 'blob', offset: 7 },
  });
});

await test('a part of a file', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, BYTES);
  const { fd, spec } = await openFile(path);
  t.teardown(() => closeFile(fd));
  const slice = new FileSource({ ...spec, name: 'inner', base: 110, size: 20 });
  t.ok((await readFully(slice, 0, 20)).equals(BYTES.subarray(110, 130)));
  t.throws(() => reads(slice, 15, 6), {
    code: 'SHORT_READ',
    message: 'inner: read of 6 bytes at 15: the file ends after 5 of them',
  });
  const { runs, begin, end } = (await slice.dataRuns(5, 10)) ?? {};
  t.same([...(runs ?? [])], [5, 20], 'offsets are those of the part, up to its end');
  t.same([begin, end], [5, 15]);
});

await test('a file that grew keeps the size that it had when it was opened', async (t) => {
  const source = await open(t, 5000);
  writeFileSync(join(t.testdirName, 'blob'), BYTES);
  t.throws(() => reads(source, 4999, 2), { code: 'SHORT_READ' });
  await source.load(4999, 1);
  t.equal(reads(source, 4999, 1), true);
});

await test('prefetch is limited to the file, and does not wait', async (t) => {
  const source = await open(t);
  for (const [offset, length] of [
    [0, 10_000],
    [9000, 1e12],
    [10_000, 1],
  ] as const)
    t.equal(await source.prefetch(offset, length), undefined);
});

await test('a hole of a tmpfs under overlayfs can be read', async (t) => {
  if (process.geteuid?.() !== 0) {
    return void t.pass('overlayfs', { skip: 'NOT TESTED, not root' });
  }
  const folder = t.testdir({ memory: {}, merged: {} });
  const [memory, merged] = [join(folder, 'memory'), join(folder, 'merged')];
  if (spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', memory]).status !== 0) {
    return void t.pass('overlayfs', { skip: 'NOT TESTED, mount(2) is not allowed' });
  }
  try {
    await readsHole(t, memory, merged);
  } finally {
    // Now, not at the end: then the folder is removed.
    for (const each of [merged, memory]) spawnSync('umount', ['--lazy', each]);
  }
});

async function readsHole(t: Test, memory: string, merged: string): Promise<void> {
  for (const name of ['lower', 'upper', 'work']) mkdirSync(join(memory, name));
  const layers = ['lower', 'upper', 'work'].map((name) => `${name}dir=${join(memory, name)}`);
  if (
    spawnSync('mount', ['-t', 'overlay', 'overlay', '-o', layers.join(','), merged]).status !== 0
  ) {
    return void t.pass('overlayfs', { skip: 'NOT TESTED, no overlayfs' });
  }
  const path = join(merged, 'sparse');
  writeFileSync(path, 'data');
  truncateSync(path, 100_000);
  const { spec } = await openFile(path);
  const bytes = await readFully(new FileSource(spec), 0, 100_000);
  closeFile(spec.fd);
  t.equal(bytes.toString('latin1', 0, 4), 'data');
  t.ok(bytes.subarray(4).every((byte) => byte === 0));
}
