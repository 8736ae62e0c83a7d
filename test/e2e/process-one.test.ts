// The daemon as process 1 of a container, and as the child of a script that is process 1: it serves, ends on SIGTERM,
// and refuses an upgrade.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { waitForControl, socketOf } from '../support/control.js';
import { commandLine, runDaemon, shortFolder } from '../support/daemon-process.js';
import { writeRaw } from '../support/e2e-images.js';
import { RawNbdClient, tick } from '../support/nbd-client.js';
import { requireTool, runTool } from '../support/tools.js';

const UNSHARE = ['--pid', '--fork', '--mount-proc', '--kill-child'];

async function hasNamespaces(test: Test): Promise<boolean> {
  if (!requireTool(test, 'unshare')) return false;
  const { code: refused } = await runTool('unshare', [...UNSHARE, 'true']);
  if (refused !== 0) {
    test.pass('unshare', { skip: 'NOT TESTED: no right to make a process namespace' });
  }
  return refused === 0;
}

await t.test('as process 1 it serves, refuses an upgrade, and ends on SIGTERM', async (test) => {
  if (!(await hasNamespaces(test))) return;
  const folder = shortFolder(test);
  const disk = writeRaw(join(folder, 'disk.img'), 3, 1 << 20);
  const state = join(folder, 'state');
  const socket = join(folder, 'nbd.sock');
  const serve = ['serve', join(folder, 'disk.img'), '--listen', `unix://${socket}`];
  const line = commandLine([...serve, '--state', state]);
  const container = spawn('unshare', [...UNSHARE, ...line], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  container.stderr.on('data', (part: Buffer) => (log += part.toString()));
  test.teardown(() => container.kill('SIGKILL'));
  await waitForControl(socketOf(state));
  const client = await RawNbdClient.open({ path: socket });

  const { code, stderr } = await runDaemon(['upgrade', '--state', state]);
  test.equal(code, 1);
  test.match(stderr, /process 1 of its container, which ends with it: replace the container/);
  const pid = container.pid ?? 0;
  const daemon = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
  process.kill(daemon, 'SIGUSR2');
  while (log.split('upgrade: ').length < 3) await tick(10);
  test.same(await client.read(100, 512), disk.subarray(100, 612), 'the daemon goes on');
  await client.disconnect();
  process.kill(daemon, 'SIGTERM');
  const [ended] = (await once(container, 'exit')) as [number];
  test.equal(ended, 0);
});

await t.test('as the child of a script that is process 1, the same', async (test) => {
  if (!(await hasNamespaces(test))) return;
  const folder = shortFolder(test);
  const disk = writeRaw(join(folder, 'disk.img'), 3, 1 << 20);
  const state = join(folder, 'state');
  const socket = join(folder, 'nbd.sock');
  const script = join(folder, 'start.sh');
  // The next command keeps the shell from executing the daemon in its place.
  writeFileSync(script, '#!/bin/sh\n"$@"\nexit $?\n', { mode: 0o755 });
  const serve = ['serve', join(folder, 'disk.img'), '--listen', `unix://${socket}`];
  const line = commandLine([...serve, '--state', state]);
  const container = spawn('unshare', [...UNSHARE, script, ...line], { stdio: 'ignore' });
  const ended = once(container, 'exit');
  test.teardown(async () => {
    container.kill('SIGKILL');
    await ended;
  });
  await waitForControl(socketOf(state));
  const client = await RawNbdClient.open({ path: socket });
  const { code, stderr } = await runDaemon(['upgrade', '--state', state]);
  test.equal(code, 1);
  test.match(stderr, /process 1, start\.sh, has started this daemon, and may end the container/);
  test.same(await client.read(100, 512), disk.subarray(100, 612), 'the daemon goes on');
  await client.disconnect();
});
