// Attaching while udev opens every device that changes: first on a busy machine, then again and again. No request may be
// lost. This case comes first: a kernel that has made its threads keeps them for minutes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { availableParallelism, setPriority } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import type { ControlClient } from '../../../daemon/control/client.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import { mustRun } from '../../support/tools.js';
import { around, kernelSeconds, secondsOf, type Span } from '../around.js';
import type { Case, Check } from '../checks.js';
import { Daemon } from '../daemon.js';
import { attribute, untilConnected } from '../device.js';
import { KernelLog } from '../kernel.js';
import type { World } from '../world.js';

/** How often: in CI, and with --long. */
const TIMES = 15;
const LONG_TIMES = 200;
const UDEVD = ['/lib/systemd/systemd-udevd', '/usr/lib/systemd/systemd-udevd'];
/** The kernel waits 10 s for a lost reply; an emulated processor is done earlier. */
const LOST_MS = 9000;
/** The longest time that udev may take with a device while every processor of an emulated machine is busy. */
const MAX_UDEV_MS = 90_000;
/** Loops that keep the processors from the kernel thread that makes threads. */
const BUSY = 4;

export function udevCases(): Case<World>[] {
  return [
    {
      name: 'attach repeatedly under udev',
      tools: ['udevadm', 'taskset'],
      processors: 2,
      timeout: 600,
      run,
    },
  ];
}

async function run(check: Check, { images, inVm, isLong }: World): Promise<void> {
  const udevd = UDEVD.find((path) => existsSync(path));
  if (udevd === undefined || !inVm) {
    check.skip('', `NOT TESTED: ${inVm ? 'systemd-udevd is not installed' : 'not in a VM'}`);
    return;
  }
  const manager = spawn(udevd, [], { stdio: 'ignore' });
  check.defer(() => manager.kill('SIGTERM'));
  for (let i = 0; !existsSync('/run/udev/control') && i < 500; i++) await pause(20);
  await mustRun('udevadm', ['settle']);
  // The loops have priority over the kernel thread that makes threads, and this process has priority over the loops.
  setPriority(-20);
  check.defer(() => setPriority(0));
  const daemon = new Daemon(['--config', images.config]);
  check.defer(() => daemon.stop());
  await daemon.start();
  const log = new KernelLog();
  const line = ['-n', '5', 'bash', '-c', 'while :; do :; done'];
  const loops = Array.from({ length: BUSY }, () => spawn('nice', line, { stdio: 'ignore' }));
  const stop = (): void => loops.forEach((loop) => void loop.kill('SIGKILL'));
  check.defer(stop);
  const first = await attachInUse(check, daemon, manager.pid ?? 0, stop);
  check.note(`the first one, on a busy machine: ${first.text}`);
  const attaches = [first];
  const times = isLong ? LONG_TIMES : TIMES;
  while (attaches.length < times) attaches.push(await attachOnce(daemon));
  const worst = Math.max(...attaches.slice(1).map(({ readyMs }) => readyMs));
  check.note(`the slowest of the ${times - 1} others: ${worst.toFixed(0)} ms`);
  const kernel = log.lines();
  const timedOut = kernel.filter((each) => /timed out|I\/O error/.test(each));
  check.equal(timedOut, [], 'the kernel got every reply');
  const [at = null] = timedOut.map(secondsOf);
  if (at !== null) check.note(around(at, kernel, daemon.log.split('\n'), attaches));
  check.ok(worst < LOST_MS, 'no attach took as long as a lost reply');
  check.equal(log.troubles(), [], 'no trouble');
  const said = daemon.log.split('\n');
  const replaced = said.filter((each) => each.includes('does not read'));
  for (const each of replaced) check.note(each);
  // A detach may shut down a socket before the kernel has sent NBD_CMD_DISC; without a request nothing is lost.
  const ended = said.filter((each) => /client hung up; [1-9]/.test(each));
  const allowed = ended.length <= replaced.length;
  check.ok(
    allowed,
    'only connections that the daemon replaces end with requests',
    ended.join('\n'),
  );
  check.equal(
    said.filter((each) => each.includes('error:')),
    [],
    'no error',
  );
}

interface Attached extends Span {
  /** Milliseconds until udev and the kernel were done with the device. */
  readonly readyMs: number;
}

async function attachOnce({ control }: Daemon): Promise<Attached> {
  const from = kernelSeconds();
  const begin = performance.now();
  const { device, id } = await control.attach({ export: 'flat' });
  await untilIdle(device);
  const readyMs = performance.now() - begin;
  await detachOnceFree(control, device);
  await untilConnected(device, false);
  return {
    from,
    to: kernelSeconds(),
    text: `${device} ${id}: ready after ${readyMs.toFixed(0)} ms`,
    readyMs,
  };
}

/**
 * Reads from each processor, and so over each connection, while a detach waits for the device to be free. Until then
 * the device is opened and read on the first processor only: the other connections are used for the first time.
 * @param done called when all reads are done
 */
async function attachInUse(
  check: Check,
  { control }: Daemon,
  udevd: number,
  done: () => void,
): Promise<Attached> {
  const from = kernelSeconds();
  const begin = performance.now();
  await mustRun('taskset', ['-a', '-c', '-p', '0', `${udevd}`]);
  const { device, id } = await control.attach({ export: 'flat' });
  const hold = ['-c', '0', 'sh', '-c', 'exec <"$0"; echo; exec sleep 1000', device];
  const holder = spawn('taskset', hold, { stdio: ['ignore', 'pipe', 'inherit'] });
  check.defer(() => holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  const early = control.detach(device, {}).then(
    () => 'detached',
    (error: unknown) => (error instanceof OverlaybdError ? error.code : String(error)),
  );
  await pause(100);
  const reads = Array.from({ length: availableParallelism() }, (_, cpu) => {
    const dd = ['dd', `if=${device}`, 'of=/dev/null', 'bs=4096', 'count=1', 'iflag=direct'];
    return mustRun('taskset', ['-c', `${cpu}`, ...dd, `skip=${100 + cpu}`]);
  });
  await Promise.all(reads);
  const readMs = performance.now() - begin;
  done();
  check.equal(await early, 'BUSY', 'a device that is open is not detached');
  holder.kill('SIGKILL');
  const all = `0-${availableParallelism() - 1}`;
  await mustRun('taskset', ['-a', '-c', '-p', all, `${udevd}`]);
  await untilIdle(device);
  const readyMs = performance.now() - begin;
  await detachOnceFree(control, device);
  await untilConnected(device, false);
  const text = `${device} ${id}: read after ${readMs.toFixed(0)} ms, ready after ${readyMs.toFixed(0)} ms`;
  return { from, to: kernelSeconds(), text, readyMs };
}

/** Until udev and the kernel are done with the device. */
async function untilIdle(device: string): Promise<void> {
  const isBusy = (): boolean => {
    const [reads = 0] = attribute(device, 'inflight').split(/\s+/).map(Number);
    return reads > 0 || existsSync('/run/udev/queue');
  };
  // udev gets its event a moment later.
  do await pause(100);
  while (isBusy());
}

/** While every processor is busy, udev may open the device later than that, and keep it longer than detach waits. */
async function detachOnceFree(control: ControlClient, device: string): Promise<void> {
  for (const end = performance.now() + MAX_UDEV_MS; ; await pause(100)) {
    try {
      return await control.detach(device, {});
    } catch (error) {
      const isBusy = error instanceof OverlaybdError && error.code === 'BUSY';
      if (!isBusy || performance.now() > end) throw error;
    }
  }
}
