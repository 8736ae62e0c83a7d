// Opening layer files: only regular files and block devices, only for reading, and with an identity.
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { findDataExtents } from '../../../daemon/blob/data-extents.js';
import { openFile } from '../../../daemon/blob/open-file.js';
import { native } from '../../../daemon/native/binding.js';

function identity(path: string): string {
  const file = openFile(path);
  closeSync(file.fd);
  return file.identity;
}

await test('a regular file: size, name, read-only', (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, 'twelve bytes');
  const { source, fd } = openFile(path);
  t.equal(source.size, 12);
  t.equal(source.name, path);
  t.throws(() => appendFileSync(fd, 'x'), { code: 'EBADF' });
  closeSync(fd);
  t.end();
});

await test('one file by many names is one; changed, it is another', (t) => {
  const folder = t.testdir();
  const [path, hard, soft] = ['blob', 'hard', 'soft'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(path, 'one');
  linkSync(path, hard);
  symlinkSync(path, soft);
  const first = identity(path);
  t.equal(identity(hard), first);
  t.equal(identity(soft), first);
  writeFileSync(join(folder, 'copy'), 'one');
  t.not(identity(join(folder, 'copy')), first);
  utimesSync(path, 1, 1);
  const touched = identity(path);
  t.not(touched, first, 'another time');
  appendFileSync(path, 'x');
  utimesSync(path, 1, 1);
  t.not(identity(path), touched, 'another size');
  t.end();
});

await test('what is no file is refused by name, and nothing hangs or stays open', (t) => {
  const folder = t.testdir();
  const fifo = join(folder, 'fifo');
  mkdirSync(join(folder, 'dir'));
  const before = openDescriptors();
  const refuse = (path: string, code: string, message: RegExp): void => {
    t.throws(() => openFile(path), { code, message }, path);
  };
  refuse(join(folder, 'absent'), 'NOT_FOUND', /\/absent: ENOENT/);
  refuse(join(folder, 'dir'), 'UNSUPPORTED', /\/dir: neither a regular file nor a block device$/);
  refuse('/dev/null', 'UNSUPPORTED', /^\/dev\/null: neither/);
  refuse(join(folder, 'dir', 'nul\0byte'), 'IO', /nul/);
  writeFileSync(join(folder, 'file'), '');
  refuse(join(folder, 'file', 'below'), 'IO', /ENOTDIR/);
  if (spawnSync('mkfifo', [fifo]).status === 0) refuse(fifo, 'UNSUPPORTED', /\/fifo: neither/);
  t.equal(openDescriptors(), before);
  t.end();
});

/** How many descriptors this process has, by the lowest free one and those below it. */
function openDescriptors(): number {
  let open = 0;
  for (let fd = 0; fd < 200; fd++) {
    try {
      fstatSync(fd);
      open++;
    } catch {
      // free
    }
  }
  return open;
}

await test('data extents: holes in front, between and behind', (t) => {
  const path = join(t.testdir(), 'sparse');
  writeFileSync(path, '');
  const fd = openSync(path, 'r+');
  t.teardown(() => closeSync(fd));
  const extents = (offset = 0) => findDataExtents(fd, 'sparse', offset);
  t.same(extents(), [], 'an empty file');
  t.same(extents(4096), [], 'from behind its end');
  spawnSync('truncate', ['-s', '10M', path]);
  t.same(extents(), [], 'all hole');
  const chunk = Buffer.alloc(65_536, 1);
  for (const at of [1 << 20, 5 << 20]) {
    spawnSync('dd', [`of=${path}`, 'bs=64K', `seek=${at / 65_536}`, 'conv=notrunc', 'count=1'], {
      input: chunk,
    });
  }
  t.same(extents(), [
    { offset: 1 << 20, end: (1 << 20) + 65_536 },
    { offset: 5 << 20, end: (5 << 20) + 65_536 },
  ]);
  t.same(
    extents((1 << 20) + 4096)[0],
    { offset: (1 << 20) + 4096, end: (1 << 20) + 65_536 },
    'from inside one',
  );
  t.end();
});

await test('data extents of what cannot be sought in', (t) => {
  const [a, b] = native.socketpair();
  t.teardown(() => [a, b].forEach((fd) => native.close(fd)));
  t.throws(() => findDataExtents(a, 'socket', 0), {
    code: 'IO',
    message: 'socket: cannot find its holes at byte 0: ESPIPE (invalid seek)',
  });
  t.match(readlinkSync(`/proc/self/fd/${a}`), /^socket:/);
  t.end();
});
