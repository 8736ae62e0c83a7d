// Opening layer files: only regular files and block devices, only for reading, with an identity.
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  readlinkSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { findDataExtents } from '../../../daemon/blob/data-extents.js';
import { closeFile } from '../../../daemon/blob/file-jobs.js';
import { FileSource } from '../../../daemon/blob/file-source.js';
import { openFile, readSmallFile } from '../../../daemon/blob/open-file.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import { fallsTo, openDescriptors } from '../../support/descriptors.js';

async function identity(path: string): Promise<string> {
  const file = await openFile(path);
  closeFile(file.fd);
  return file.identity;
}

await test('a regular file has size and name, and is opened read-only', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, 'twelve bytes');
  const { source, fd } = await openFile(path);
  t.equal(source.size, 12);
  t.equal(source.name, path);
  t.throws(() => appendFileSync(fd, 'x'), { code: 'EBADF' });
  closeFile(fd);
});

await test('several names of a file have one identity, a changed file another', async (t) => {
  const folder = t.testdir();
  const [path, hard, soft] = ['blob', 'hard', 'soft'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(path, 'one');
  linkSync(path, hard);
  symlinkSync(path, soft);
  const first = await identity(path);
  t.equal(await identity(hard), first);
  t.equal(await identity(soft), first);
  writeFileSync(join(folder, 'copy'), 'one');
  t.not(await identity(join(folder, 'copy')), first);
  utimesSync(path, 1, 1);
  const touched = await identity(path);
  t.not(touched, first, 'the time differs');
  appendFileSync(path, 'x');
  utimesSync(path, 1, 1);
  t.not(await identity(path), touched, 'the size differs');
});

await test('other kinds of files are refused by name, without waiting', async (t) => {
  const folder = t.testdir();
  const fifo = join(folder, 'fifo');
  mkdirSync(join(folder, 'dir'));
  const before = openDescriptors();
  const refuse = async (path: string, code: string, message: RegExp): Promise<void> => {
    await t.rejects(openFile(path), { code, message }, path);
  };
  await refuse(join(folder, 'absent'), 'NOT_FOUND', /\/absent: ENOENT/);
  await refuse(
    join(folder, 'dir'),
    'UNSUPPORTED',
    /\/dir: a folder, not a file or a block device$/,
  );
  await refuse('/dev/null', 'UNSUPPORTED', /^\/dev\/null: a character device, not a file/);
  symlinkSync('nowhere', join(folder, 'dangling'));
  await refuse(
    join(folder, 'dangling'),
    'NOT_FOUND',
    /\/dangling: a symlink to nowhere, which does not exist$/,
  );
  await refuse(join(folder, 'dir', 'nul\0byte'), 'IO', /nul/);
  writeFileSync(join(folder, 'file'), '');
  await refuse(join(folder, 'file', 'below'), 'IO', /ENOTDIR/);
  if (spawnSync('mkfifo', [fifo]).status === 0)
    await refuse(fifo, 'UNSUPPORTED', /\/fifo: a FIFO, not a file/);
  t.ok(await fallsTo(before));
});

await test('data extents with holes before, between and after them', async (t) => {
  const path = join(t.testdir(), 'sparse');
  writeFileSync(path, '');
  const extents = async (offset = 0): Promise<{ offset: number; end: number }[]> => {
    const { source, fd } = await openFile(path);
    const found = await findDataExtents(source, offset, UNBOUNDED);
    closeFile(fd);
    return Array.from({ length: found.length / 2 }, (_, i) => ({
      offset: found[2 * i] as number,
      end: found[2 * i + 1] as number,
    }));
  };
  t.same(await extents(), [], 'an empty file');
  t.same(await extents(4096), [], 'a start after the end of the file');
  spawnSync('truncate', ['-s', '10M', path]);
  t.same(await extents(), [], 'a file that is one hole');
  const chunk = Buffer.alloc(65_536, 1);
  for (const at of [1 << 20, 5 << 20]) {
    spawnSync('dd', [`of=${path}`, 'bs=64K', `seek=${at / 65_536}`, 'conv=notrunc', 'count=1'], {
      input: chunk,
    });
  }
  t.same(await extents(), [
    { offset: 1 << 20, end: (1 << 20) + 65_536 },
    { offset: 5 << 20, end: (5 << 20) + 65_536 },
  ]);
  t.same(
    (await extents((1 << 20) + 4096))[0],
    { offset: (1 << 20) + 4096, end: (1 << 20) + 65_536 },
    'a start inside an extent',
  );
});

await test('data extents of a descriptor that cannot seek', async (t) => {
  const [a, b] = sockets.pair();
  t.teardown(() => [a, b].forEach((fd) => descriptors.close(fd)));
  const socket = new FileSource({ kind: 'file', name: 'socket', fd: a, base: 0, size: 100 });
  await t.rejects(findDataExtents(socket, 0, UNBOUNDED), {
    code: 'IO',
    message: /^socket: its file system cannot tell where it has holes/,
  });
  t.match(readlinkSync(`/proc/self/fd/${a}`), /^socket:/);
});

await test('a file that is cut while its extents are read', async (t) => {
  const path = join(t.testdir(), 'sparse');
  writeFileSync(path, '');
  truncateSync(path, 10 << 20);
  const { source, fd } = await openFile(path);
  t.teardown(() => closeFile(fd));
  t.equal((await findDataExtents(source, 0, UNBOUNDED)).length, 0);
  truncateSync(path, (10 << 20) - 1);
  await t.rejects(findDataExtents(source, 0, UNBOUNDED), {
    code: 'SHORT_READ',
    message: /the file is shorter than the 10485760 bytes it had when it was opened$/,
  });
});

await test('a small file is read whole, a longer one is not read at all', async (t) => {
  const path = join(t.testdir(), 'small');
  writeFileSync(path, 'twelve bytes');
  t.equal((await readSmallFile(path, 12)).toString(), 'twelve bytes');
  await t.rejects(readSmallFile(path, 11), { code: 'LIMIT', message: /12 bytes, at most 11$/ });
  await t.rejects(readSmallFile(join(path, 'x'), 11), { code: 'IO' });
});
