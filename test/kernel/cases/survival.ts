// Devices outlive the daemon: it is killed under load again and again, upgraded, absent, and absent for too long.
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { runTool } from '../../support/tools.js';
import { attach } from '../attachment.js';
import type { Case, Check } from '../checks.js';
import { attribute, deviceSha256, freeDevice, isConnected, untilConnected } from '../device.js';
import { KernelLog, dropCaches } from '../kernel.js';
import { Progress, startFio, startWalk, type Load } from '../load.js';
import type { World } from '../world.js';

/** How often, for each load: in CI, and with --long. */
const KILLS = 2;
const LONG_KILLS = 10;
/** Seconds without a daemon: in CI, and with --long. */
const AWAY = 12;
const LONG_AWAY = 30;
/** In seconds; short, because the tests wait for it. */
const TIMEOUT = 3;
const MIB = 1 << 20;

export function survivalCases(isLong: boolean): Case<World>[] {
  const away = isLong ? LONG_AWAY : AWAY;
  return [
    {
      name: 'kill -9 under fio --verify',
      tools: ['fio'],
      processors: 2,
      timeout: 400,
      async run(check, world) {
        const size = world.images.fio ?? 0;
        const device = await attach(check, world.daemon, {
          export: 'fio',
          timeoutSeconds: TIMEOUT,
        });
        await killUnder(check, world, device, 400, () => startFio(device, size));
      },
    },
    {
      name: 'kill -9 under a tree walk',
      processors: 2,
      timeout: 400,
      async run(check, world) {
        const device = await attach(check, world.daemon, {
          export: 'ext4',
          timeoutSeconds: TIMEOUT,
        });
        const root = mkdtempSync(join(tmpdir(), 'obd-walk-'));
        const mounted = await runTool('mount', ['-o', 'ro,noload', device, root]);
        check.equal(mounted, { code: 0, stdout: '', stderr: '' }, 'mounts');
        check.defer(async () => {
          check.equal((await runTool('umount', [root])).code, 0, 'unmounts');
          rmdirSync(root);
        });
        await killUnder(check, world, device, 50, () => startWalk(root, world));
      },
    },
    {
      name: 'upgrade under load',
      tools: ['fio', 'nbd-client'],
      processors: 2,
      timeout: 300,
      run: upgrades,
    },
    {
      name: `a daemon that is away for ${away} s`,
      timeout: 150,
      run: (check, world) => absence(check, world, away),
    },
    { name: 'a daemon that is away for too long', timeout: 150, run: tooLong },
  ];
}

/**
 * Kills the daemon repeatedly while `start` reads; readers may see a pause and nothing else. @param between reads
 * before the next kill, more than are in flight at once
 */
async function killUnder(
  check: Check,
  { daemon, isLong }: World,
  device: string,
  between: number,
  start: () => Load,
): Promise<void> {
  const kills = isLong ? LONG_KILLS : KILLS;
  const log = new KernelLog();
  const progress = new Progress(device);
  check.defer(() => progress.stop());
  const load = start();
  check.defer(() => load.stop());
  await progress.more(between);
  const starts: number[] = [];
  const stalls: number[] = [];
  for (let i = 0; i < kills; i++) {
    progress.takeLongestStall();
    await daemon.kill();
    starts.push((await daemon.ready()) / 1000);
    await progress.more(between);
    stalls.push(progress.takeLongestStall());
    check.ok(load.running, `kill ${i + 1} of ${kills}: reads go on`);
  }
  const { problem, verifiedBytes } = await load.stop();
  check.equal(problem, '', 'every byte is right, and no read failed');
  check.ok(verifiedBytes > MIB, 'enough was read');
  check.equal([...log.errors(), ...log.troubles()], [], 'the kernel saw no error and no hung task');
  const [status] = (await daemon.control.status()).devices;
  check.ok((status?.reconnects ?? 0) > 0, 'the device got new connections');
  check.note(
    `${kills} kills survived, ${(verifiedBytes / MIB).toFixed(1)} MiB verified; ` +
      `starts took ${seconds(starts)}; no read was answered for ${seconds(stalls)}`,
  );
}

async function upgrades(check: Check, world: World): Promise<void> {
  const { daemon, images, isLong } = world;
  const log = new KernelLog();
  const device = await attach(check, daemon, { export: 'fio' });
  // No other program can renew its connection.
  const other = freeDevice();
  const client = ['-unix', daemon.socketPath, other, '-N', 'flat'];
  check.equal((await runTool('nbd-client', client)).code, 0, 'nbd-client connects');
  check.defer(async () => {
    await runTool('nbd-client', ['-d', other]);
    await untilConnected(other, false);
  });
  const progress = new Progress(device);
  check.defer(() => progress.stop());
  const load = startFio(device, images.fio ?? 0);
  check.defer(() => load.stop());
  await progress.more(50);
  progress.takeLongestStall();
  const stalls: number[] = [];
  let requests = (await daemon.control.status()).devices[0]?.requests ?? 0;
  const ways = isLong ? ['upgrade', 'SIGUSR2', 'upgrade'] : ['upgrade', 'SIGUSR2'];
  for (const way of ways) {
    const before = daemon.pid;
    let pid = before;
    if (way === 'upgrade') {
      const { code, stdout, stderr } = await daemon.runProgram('upgrade');
      check.equal([code, stderr], [0, ''], 'upgrade succeeds');
      pid = Number(stdout);
    } else {
      process.kill(before ?? 0, 'SIGUSR2');
      while (pid === before) {
        await pause(100);
        pid = (await daemon.control.status().catch(() => null))?.pid ?? before;
      }
    }
    check.ok(pid !== before, `${way}: another process serves`);
    await daemon.follow(pid ?? 0);
    await progress.more(50);
    stalls.push(progress.takeLongestStall());
    check.ok(load.running, `${way}: reads go on`);
    const counted = (await daemon.control.status()).devices[0]?.requests ?? 0;
    check.ok(counted > requests, `${way}: the counters continue, ${counted} after ${requests}`);
    requests = counted;
  }
  const { problem, verifiedBytes } = await load.stop();
  check.equal(problem, '', 'every byte is right, and no read failed');
  check.ok(Math.max(...stalls) < 10, `no read waited for long: ${seconds(stalls)}`);
  check.equal(
    await deviceSha256(other),
    images.flat.sha256,
    'the connection of nbd-client continues',
  );
  const [status] = (await daemon.control.status()).devices;
  check.equal(status?.reconnects, 0, 'the device kept its connections');
  check.equal([...log.errors(), ...log.troubles()], [], 'the kernel saw no error and no hung task');
  check.note(
    `${ways.length} upgrades, ${(verifiedBytes / MIB).toFixed(1)} MiB verified; ` +
      `no read was answered for ${seconds(stalls)}`,
  );
}

async function absence(check: Check, { daemon, images }: World, away: number): Promise<void> {
  const log = new KernelLog();
  const device = await attach(check, daemon, { export: 'flat', timeoutSeconds: TIMEOUT });
  await daemon.kill({ stayAway: true });
  const begin = performance.now();
  dropCaches();
  let over = false;
  // On a busy machine the start of the daemon alone may take half a minute.
  const read = runTool('sha256sum', [device], { timeout: 120_000 }).then((result) => {
    over = true;
    return result;
  });
  await pause(away * 1000);
  check.ok(!over, `a read waits for ${away} s`);
  const ready = await daemon.start();
  const { code, stdout } = await read;
  check.equal(code, 0, 'the read succeeds afterwards');
  check.equal(stdout.slice(0, 64), images.flat.sha256, 'with the right bytes');
  check.equal([...log.errors(), ...log.troubles()], [], 'the kernel saw no error and no hung task');
  const after = performance.now() - begin;
  check.note(
    `away for ${away} s and ${seconds([ready / 1000])} to start; the read was over after ${seconds([after / 1000])}`,
  );
}

async function tooLong(check: Check, { daemon }: World): Promise<void> {
  const log = new KernelLog();
  const settings = { timeoutSeconds: 2, deadConnTimeoutSeconds: 4 };
  const device = await attach(check, daemon, { export: 'flat', ...settings });
  await daemon.kill({ stayAway: true });
  const begin = performance.now();
  const read = await runTool('dd', [`if=${device}`, 'of=/dev/null', 'iflag=direct', 'count=1']);
  const after = (performance.now() - begin) / 1000;
  check.match(read.stderr, /Input\/output error/, 'a read fails');
  check.ok(after > 3 && after < 20, `in time: ${seconds([after])}`);
  check.equal(log.troubles(), [], 'no hung task');
  check.ok(isConnected(device), 'the device is still attached');
  await daemon.start();
  const { code, stderr } = await daemon.run('detach', device);
  check.equal([code, stderr], [0, ''], 'detach works');
  await untilConnected(device, false);
  check.equal(attribute(device, 'size'), '0', 'the device is free');
  check.note(`the read failed after ${seconds([after])}`);
}

function seconds(times: readonly number[]): string {
  return `${times.map((each) => each.toFixed(1)).join(', ')} s`;
}
