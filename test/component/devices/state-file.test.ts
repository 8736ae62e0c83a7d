// Files of a state folder: opening any kind of file ends at once and follows no link.
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'tap';
import { shortFolder } from '../../support/daemon-process.js';
import {
  openStateFile,
  readStateFile,
  readStateFileEnd,
  replaceStateFile,
  replaceStateFileWith,
  syncFolder,
} from '../../../daemon/devices/state-file.js';

const CREATE = constants.O_RDWR | constants.O_CREAT;

await test('regular files are read whole, or from their end', async (t) => {
  const path = join(t.testdir(), 'file');
  closeSync(openStateFile(path, CREATE));
  writeFileSync(path, 'what is in it');
  t.equal(readStateFile(path, 13), 'what is in it');
  t.throws(() => readStateFile(path, 12), { code: 'LIMIT', message: /13 bytes, at most 12/ });
  t.equal(readStateFileEnd(path, 5), 'in it');
  t.equal(readStateFileEnd(path, 500), 'what is in it');
  closeSync(openStateFile(path, CREATE));
  t.equal(readFileSync(path, 'utf8'), 'what is in it', 'opening changes nothing');
  t.throws(() => readStateFile(`${path}2`, 1), { code: 'NOT_FOUND', message: `${path}2: ENOENT` });
});

await test('errors of the system are errors of the file, and what makes its bytes fails as it does', async (t) => {
  const folder = t.testdir();
  writeFileSync(join(folder, 'file'), '');
  const isNamed = (name: string, code: string, errno: string) => ({
    name: 'OverlaybdError',
    code,
    message: `${join(folder, name)}: ${errno}`,
  });
  for (const [name, code, errno] of [
    ['file/below', 'IO', 'ENOTDIR'],
    ['missing/file', 'NOT_FOUND', 'ENOENT'],
  ] as const) {
    const path = join(folder, name);
    const expected = isNamed(name, code, errno);
    t.throws(() => readStateFile(path, 1), expected);
    t.throws(() => replaceStateFile(path, 'text'), expected);
    t.throws(() => syncFolder(path), expected);
    await t.rejects(replaceStateFileWith(path, Readable.from([Buffer.from('bytes')])), expected);
  }
  const wrong = new TypeError('of the bytes');
  const failing = new Readable({ read: () => failing.destroy(wrong) });
  await t.rejects(replaceStateFileWith(join(folder, 'file'), failing), wrong);
});

await test('a file is replaced whole, also after an earlier attempt was killed', (t) => {
  const folder = t.testdir();
  const path = join(folder, 'file');
  replaceStateFile(path, 'first');
  writeFileSync(`${path}.new`, 'left by a daemon that was killed');
  replaceStateFile(path, 'second');
  t.equal(readFileSync(path, 'utf8'), 'second');
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.same(readdirSync(folder), ['file']);
  symlinkSync('/etc/passwd', `${path}.new`);
  replaceStateFile(path, 'third');
  t.same([readFileSync(path, 'utf8'), readdirSync(folder)], ['third', ['file']]);
  t.end();
});

await test('other kinds of files are refused by name, without waiting', async (t) => {
  const folder = shortFolder(t);
  const at = (name: string): string => join(folder, name);
  writeFileSync(at('target'), 'not for us');
  symlinkSync(at('target'), at('link'));
  symlinkSync(at('nowhere'), at('dangling'));
  mkdirSync(at('folder'));
  spawnSync('mkfifo', [at('fifo')]);
  const server = createServer().listen(at('socket'));
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => server.close());
  const kinds = {
    link: /a symbolic link/,
    dangling: /a symbolic link/,
    folder: /a folder/,
    fifo: /a FIFO/,
    socket: /a socket/,
  };
  for (const [name, kind] of Object.entries(kinds)) {
    for (const flags of [constants.O_RDONLY, CREATE, constants.O_WRONLY | constants.O_APPEND]) {
      t.throws(() => openStateFile(at(name), flags), { code: 'IO', message: kind }, name);
    }
    t.throws(() => readStateFile(at(name), 100), { code: 'IO', message: kind });
    t.throws(() => readStateFileEnd(at(name), 100), { code: 'IO', message: kind });
  }
  t.throws(() => openStateFile('/dev/zero', constants.O_RDONLY), { message: /a device/ });
  t.equal(readFileSync(at('target'), 'utf8'), 'not for us');
});
