// TCP peers that have vanished do not keep their places for long: the kernel's settings of each connection, as ss shows
// them; skipped by name if ss is not installed.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { VANISHED_S } from '../../daemon/reactor/limits.js';
import { askRaw, socketOf, waitForControl } from '../support/control.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient, tick } from '../support/nbd-client.js';
import { requireTool, runTool } from '../support/tools.js';

const isSoon = (seconds: number): boolean => seconds > 0 && seconds <= VANISHED_S / 2;

/** Seconds until the first probe, for each connection of a port on the daemon's side. */
async function probesIn(test: Test, port: number): Promise<number[]> {
  const filter = ['state', 'established', `( sport = :${port} )`];
  for (const end = performance.now() + 120_000; ; await tick(50)) {
    const { code, stdout, stderr } = await runTool('ss', ['-tnoH', ...filter]);
    if (code !== 0) test.fail(stderr);
    const lines = stdout.trim().split('\n');
    const timers = lines.flatMap((line) => {
      const [, amount, unit] = /timer:\(keepalive,([\d.]+)(ms|sec|min)/.exec(line) ?? [];
      if (amount === undefined) return [];
      return [Number(amount) * (unit === 'sec' ? 1 : unit === 'ms' ? 0.001 : 60)];
    });
    // While bytes are unacknowledged the kernel shows another timer.
    if (timers.length === lines.length) return timers;
    if (performance.now() > end) throw new Error(stdout);
  }
}

await t.test('keepalive is set at once, and after an upgrade', async (test) => {
  if (!requireTool(test, 'ss')) return;
  const folder = shortFolder(test);
  const state = join(folder, 'state');
  const image = join(folder, 'disk.img');
  writeFileSync(image, Buffer.alloc(4096, 1));
  const daemon = await DaemonProcess.start(test, [image, '--state', state], {
    listen: ['tcp://127.0.0.1:0'],
  });
  await waitForControl(socketOf(state));
  const { port } = daemon.tcp;
  const client = await RawNbdClient.open(daemon.tcp);
  test.teardown(() => client.destroy());
  // The successor is a grandchild of the test.
  test.teardown(async () => {
    const { body } = await askRaw(socketOf(state), { path: '/v1/status' });
    process.kill((JSON.parse(body) as { pid: number }).pid, 'SIGKILL');
  });
  const before = await probesIn(test, port);
  test.equal(before.length, 1);
  test.ok(before.every(isSoon), before.join());

  const { code, stderr } = await runDaemon(['upgrade', '--state', state]);
  test.equal(code, 0, stderr);
  test.same(await client.read(0, 10), Buffer.alloc(10, 1), 'the same connection');
  const after = await probesIn(test, port);
  test.equal(after.length, 1);
  test.ok(after.every(isSoon), after.join());
});
