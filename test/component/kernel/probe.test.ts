// Which processes have a file open, and devices that cannot be opened. With the kernel's devices: test/kernel.
import { spawn } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { lookInto, openElsewhere, processesWith } from '../../../daemon/kernel/probe.js';

await test('processes that have a file open, except this one', async (t) => {
  const folder = t.testdir();
  const file = join(folder, 'device');
  writeFileSync(file, '');
  const fd = openSync(file, 'r');
  t.teardown(() => closeSync(fd));
  t.same(await processesWith(file), [], 'no other process');
  const child = spawn('sleep', ['60'], { stdio: [fd, 'ignore', 'ignore'] });
  await new Promise((resolve) => child.once('spawn', resolve));
  t.same(await processesWith(file), [`process ${child.pid} (sleep)`]);
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  t.same(await processesWith(file), []);
  t.same(await processesWith(file, join(folder, 'none')), [], 'no /proc');
});

await test('names of processes are escaped, because any user can choose them', async (t) => {
  const proc = t.testdir({
    42: { comm: 'a\u001b[2Jb\n', fd: { 3: t.fixture('symlink', '/dev/x') } },
  });
  t.same(await processesWith('/dev/x', proc), ['process 42 (a\\u{1b}[2Jb)']);
});

await test('the errors for a device that is in use or cannot be opened', async (t) => {
  t.match(openElsewhere(3), {
    code: 'BUSY',
    message: /nbd3: in use: opened by .*fuser -v/,
    facts: { device: '/dev/nbd3' },
  });
  const known = openElsewhere(3, ['process 7 (dd)']);
  t.equal(known.message, '/dev/nbd3: in use: opened by process 7 (dd)');
  const unknown = { code: 'PERMISSION', message: /nbd65000: .*DeviceAllow=block-nbd r.*--force$/ };
  await t.rejects(lookInto(65_000), unknown, 'the device node does not exist');
});
