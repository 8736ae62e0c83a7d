// What a unit does at shutdown if devices could not be unmounted: `detach --all --force`, with a daemon that answers,
// hangs or is gone. Readers get an error at once.
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { runTool } from '../../support/tools.js';
import { attach } from '../attachment.js';
import type { Case, Check } from '../checks.js';
import { isConnected, untilConnected } from '../device.js';
import { KernelLog } from '../kernel.js';
import type { World } from '../world.js';

/** Seconds that this may take at poweroff; an emulated processor starts the command in two. */
const LIMIT = 20;

type Daemons = 'answers' | 'hangs' | 'is gone';

export function shutdownCases(): Case<World>[] {
  return (['answers', 'hangs', 'is gone'] as const).map((how) => ({
    name: `detach --all --force: the daemon ${how}`,
    timeout: 180,
    run: (check, world) => detachAll(check, world, how),
  }));
}

async function detachAll(check: Check, { daemon }: World, how: Daemons): Promise<void> {
  const devices = [
    await attach(check, daemon, { export: 'ext4' }),
    await attach(check, daemon, { export: 'flat' }),
  ];
  const [mounted = ''] = devices;
  const root = mkdtempSync(join(tmpdir(), 'obd-shutdown-'));
  const options = ['-o', 'ro,noload,errors=continue'];
  check.equal((await runTool('mount', [...options, mounted, root])).code, 0, 'mounts');
  check.defer(async () => {
    await runTool('umount', ['-l', root]);
    rmdirSync(root);
  });
  const log = new KernelLog();
  // A reader that opens the device afterwards finds it empty, without an error.
  const line =
    'while dd if="$1" of=/dev/null iflag=direct bs=64k status=none; do ' +
    '[ "$(blockdev --getsize64 "$1")" != 0 ] || { echo "Input/output error: it is gone" >&2; break; }; ' +
    'done; exit 7';
  const readers = devices.map((device) => runTool('bash', ['-c', line, 'read', device]));
  await pause(1000);
  const { pid } = daemon;
  if (how === 'is gone') await daemon.kill({ stayAway: true });
  if (how === 'hangs' && pid !== null) {
    process.kill(pid, 'SIGSTOP');
    check.defer(() => process.kill(pid, 'SIGCONT'));
  }
  const begin = performance.now();
  // A process that waits for a daemon without an answer must end, too.
  const command = how === 'answers' ? 'run' : 'runProgram';
  const { code, stderr } = await daemon[command]('detach', '--all', '--force');
  check.equal([code, stderr], [0, ''], 'detach --all --force succeeds');
  const ends = await Promise.all(readers);
  const seconds = (performance.now() - begin) / 1000;
  check.equal(
    ends.map((end) => [end.code, /Input\/output error/.test(end.stderr)]),
    [
      [7, true],
      [7, true],
    ],
    'both readers get an error',
  );
  check.ok(seconds < LIMIT, `in ${seconds.toFixed(1)} s, at most ${LIMIT}`);
  check.equal((await runTool('umount', [root])).code, 0, 'unmounts');
  for (const device of devices) await untilConnected(device, false);
  check.ok(!devices.some((device) => isConnected(device)), 'the devices are free');
  check.equal(log.troubles(), [], 'no hung task');
  check.note(`readers ended after ${seconds.toFixed(1)} s`);
  if (how === 'hangs' && pid !== null) process.kill(pid, 'SIGCONT');
  await daemon.start();
  check.equal(await daemon.devicesLeft(), [], 'the daemon has no devices left');
}
