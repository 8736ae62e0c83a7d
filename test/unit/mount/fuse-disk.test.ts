// The folder in which nbdfuse shows a disk: made, recognized in the mount table, and removed.
import { EventEmitter, once } from 'node:events';
import { mkdirSync, readdirSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'tap';
import {
  checkFolder,
  diskFolderOf,
  ownFolder,
  runtimeFolder,
  startDisk,
  stopDisk,
} from '../../../daemon/mount/fuse-disk.js';
import type { Programs } from '../../../daemon/mount/programs.js';
import type { MountEntry } from '../../../daemon/mount/mountinfo.js';
import { Undo } from '../../../daemon/mount/undo.js';
import { shortFolder } from '../../support/daemon-process.js';
import { FakeMachine } from './fake-tools.js';

const never = new AbortController().signal;
const entry = (type: string, source: string) => ({ type, source }) as MountEntry;
const toolsOf = ({ programs, mounts }: FakeMachine, runtime: string, signal = never) => ({
  programs,
  mounts,
  signal,
  runtime,
});

await test('nbdfuse starts in a folder for this user alone, and stops', async (t) => {
  const machine = new FakeMachine();
  const runtime = shortFolder(t);
  const file = await startDisk(['nbd://h'], toolsOf(machine, runtime), new Undo());
  const folder = dirname(dirname(file));
  t.match(file, /\/overlaybd-nbd-fuse-[A-Za-z0-9]{6}\/disk\/nbd$/);
  t.equal(statSync(folder).mode & 0o777, 0o700);
  t.equal(statSync(join(folder, 'log')).mode & 0o777, 0o600);
  t.equal(machine.running, 1);
  await stopDisk(folder, machine, false);
  t.same([machine.running, machine.table, readdirSync(runtime)], [0, [], []]);
});

await test('undo: unmounted, ended, removed', async (t) => {
  const machine = new FakeMachine();
  const runtime = shortFolder(t);
  const undo = new Undo();
  await startDisk(['nbd://h'], toolsOf(machine, runtime), undo);
  t.same(await undo.run(), []);
  t.same([machine.running, machine.table, readdirSync(runtime)], [0, [], []]);
});

await test('an nbdfuse that ends at once is an error with its message', async (t) => {
  const machine = new FakeMachine();
  const runtime = shortFolder(t);
  const undo = new Undo();
  machine.failing.set('nbdfuse', 'no');
  await t.rejects(startDisk(['nbd://h'], toolsOf(machine, runtime), undo), {
    code: 'MOUNT',
    message: /^nbdfuse: exit code 1/,
  });
  t.same(await undo.run(), []);
  t.same([machine.running, readdirSync(runtime)], [0, []]);
});

await test('of a server that ends, its own message is the error', async (t) => {
  const machine = new FakeMachine();
  const runtime = shortFolder(t);
  const undo = new Undo();
  const said =
    'overlaybd-nbd: /x/empty: empty\nnbd_connect_command: recv: server disconnected unexpectedly\n';
  const start: Programs['start'] = (_path, _args, log) => {
    writeSync(log, said);
    return { pid: 999_999_999, ended: Promise.resolve('exit code 1'), kill: () => undefined };
  };
  const programs = { ...machine.programs, start };
  const tools = { ...toolsOf(machine, runtime), programs };
  await t.rejects(startDisk(['--command', 'x'], tools, undo), {
    code: 'MOUNT',
    message: /^\/x\/empty: empty$/,
  });
  t.same(await undo.run(), []);
});

await test('an interrupt while nbdfuse connects ends it', async (t) => {
  const machine = new FakeMachine();
  const runtime = shortFolder(t);
  const undo = new Undo();
  const abort = new AbortController();
  const signals: string[] = [];
  const start = () => {
    abort.abort();
    const events = new EventEmitter();
    const ended = once(events, 'end').then(() => 'SIGTERM');
    const kill = (signal: NodeJS.Signals) => {
      signals.push(signal);
      events.emit('end');
    };
    return { pid: 999_999_999, ended, kill };
  };
  const tools = toolsOf(machine, runtime, abort.signal);
  const programs = { ...machine.programs, start };
  await t.rejects(startDisk(['nbd://h'], { ...tools, programs }, undo), { message: /interrupted/ });
  t.same(await undo.run(), []);
  t.same([signals, readdirSync(runtime)], [['SIGTERM'], []]);
});

await test('the folder is recognized by the source of a FUSE mount only', (t) => {
  const folder = '/run/overlaybd-nbd-fuse-aB3dE6';
  t.equal(diskFolderOf(entry('fuse.ext4', `${folder}/disk/nbd`)), folder);
  t.equal(diskFolderOf(entry('fuse', `${folder}/disk/nbd`)), folder);
  t.equal(diskFolderOf(entry('ext4', `${folder}/disk/nbd`)), null);
  t.equal(diskFolderOf(entry('fusectl', `${folder}/disk/nbd`)), null);
  for (const source of [
    `${folder}/disk/nbd/x`,
    `${folder}x/disk/nbd`,
    '/run/other-aB3dE6/disk/nbd',
    'overlaybd-nbd-fuse-aB3dE6/disk/nbd',
  ])
    t.equal(diskFolderOf(entry('fuse', source)), null, source);
  t.end();
});

await test('only files in a folder of the right user are removed', async (t) => {
  const folder = t.testdir({ file: '' });
  const uid = process.geteuid?.() ?? 0;
  await checkFolder(folder, uid);
  await t.rejects(checkFolder(folder, uid + 1), { code: 'MOUNT', message: /belongs to user \d+;/ });
  await t.rejects(checkFolder(join(folder, 'file'), uid), { code: 'MOUNT' });
  await t.rejects(checkFolder(join(folder, 'none'), uid), { code: 'MOUNT', message: /ENOENT/ });
});

await test('unknown files stay, and so does their folder', async (t) => {
  const machine = new FakeMachine();
  const folder = join(shortFolder(t), 'overlaybd-nbd-fuse-aB3dE6');
  mkdirSync(join(folder, 'disk'), { recursive: true });
  writeFileSync(join(folder, 'theirs'), '');
  await t.rejects(stopDisk(folder, machine, true), { code: 'ENOTEMPTY' });
  t.same(readdirSync(folder), ['theirs']);
});

await test('a folder cannot be made where no folder is', async (t) => {
  const runtime = join(shortFolder(t), 'none');
  const expected = { code: 'MOUNT', message: /none: ENOENT/ };
  await t.rejects(ownFolder(runtime, 'overlaybd-nbd-look-'), expected);
});

await test('where the folder is made', (t) => {
  const before = process.env['XDG_RUNTIME_DIR'];
  t.teardown(() => {
    if (before === undefined) delete process.env['XDG_RUNTIME_DIR'];
    else process.env['XDG_RUNTIME_DIR'] = before;
  });
  process.env['XDG_RUNTIME_DIR'] = '/somewhere/else';
  t.equal(runtimeFolder(), process.geteuid?.() === 0 ? '/run' : '/somewhere/else');
  t.end();
});
