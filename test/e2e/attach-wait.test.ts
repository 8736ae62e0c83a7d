// `attach --wait`: reports what it waits for, ends at its time limit or at a signal, and fails at once if waiting
// cannot help. Its success is tested with a kernel: test/systemd.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ControlClient } from '../../daemon/control/client.js';
import { startDaemon } from '../../daemon/devices/start-daemon.js';
import { commandLine, runDaemon, shortFolder } from '../support/daemon-process.js';

const state = ['--state', join(shortFolder(t), 'nobody')];

await t.test('the time limit ends the wait', async (test) => {
  const begin = performance.now();
  const { code, stderr, stdout } = await runDaemon([
    'attach',
    '-e',
    'web',
    '--wait',
    '1.5',
    ...state,
  ]);
  test.ok(performance.now() - begin > 1500, 'it waited');
  test.match({ code, stdout }, { code: 1, stdout: '' });
  const [first, ...others] = stderr.trim().split('\n');
  test.match(first, /^overlaybd-nbd: waiting: /);
  test.equal(others.length, 1, 'each reason once, and the last one again at the end');
});

await t.test('an invalid command line fails at once', async (test) => {
  for (const args of [
    ['--wait', '-1'],
    ['--wait', 'x'],
    ['--wait', '1', '--connections', '99'],
  ]) {
    const { code, stderr } = await runDaemon(['attach', '-e', 'web', ...args, ...state]);
    test.equal(code, 2, args.join(' '));
    test.notMatch(stderr, /waiting/);
  }
});

await t.test('a signal ends the wait', async (test) => {
  const [program, ...args] = commandLine(['attach', '-e', 'web', '--wait', '600', ...state]);
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise((resolve) => child.once('close', (_, signal) => resolve(signal)));
  await new Promise((resolve) => child.stderr.once('data', resolve));
  child.kill('SIGTERM');
  test.equal(await ended, 'SIGTERM');
});

await t.test('a log path that is not a file is an error', async (test) => {
  const folder = join(shortFolder(test), 'state');
  mkdirSync(folder, { mode: 0o700 });
  spawnSync('mkfifo', [join(folder, 'daemon.log')]);
  const client = new ControlClient(join(folder, 'control.sock'));
  await test.rejects(startDaemon(folder, client), {
    code: 'IO',
    message: /daemon\.log: is a FIFO/,
  });
});
