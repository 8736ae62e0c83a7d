// The commands attach, status and detach: a device is attached, read and detached; and their errors.
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DaemonStatus } from '../../../daemon/control/api.js';
import { runTool } from '../../support/tools.js';
import { attach } from '../attachment.js';
import type { Case, Check } from '../checks.js';
import { Daemon } from '../daemon.js';
import {
  attribute,
  checkTree,
  deviceSha256,
  freeDevice,
  isConnected,
  untilConnected,
} from '../device.js';
import { DEVICES, KernelLog, loadModule, unloadModule } from '../kernel.js';
import type { World } from '../world.js';

export function attachCases(): Case<World>[] {
  return [
    { name: 'attach, status, detach', processors: 2, run: attachDetach },
    { name: 'attach without a daemon', run: onDemand },
    { name: 'attach: devices in use', run: inUse },
    { name: 'detach: mounted', run: mounted },
    { name: `attach: ${DEVICES} devices at once`, timeout: 240, run: allDevices },
    { name: 'attach: --max-devices', run: maxDevices },
    { name: 'attach again, detach refused', run: attachAgain },
    { name: 'attach: an export that was added', run: addedExport },
    { name: 'detach: below an overlay', run: heldByOverlay },
    { name: 'attach without netlink', timeout: 180, run: withoutNetlink },
    { name: 'attach: module missing', run: moduleMissing },
  ];
}

async function attachDetach(check: Check, { daemon, images }: World): Promise<void> {
  await daemon.start();
  const begin = performance.now();
  const attached = await daemon.runProgram(
    'attach',
    'flat',
    '--connections',
    '4',
    '--block-size',
    '4096',
  );
  check.note(`attach took ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  check.equal([attached.code, attached.stderr], [0, ''], 'attach succeeds');
  check.match(attached.stdout, /^\/dev\/nbd\d+\n$/, 'it prints the device');
  const device = attached.stdout.trim();
  check.equal(Number(attribute(device, 'size')) * 512, images.flat.size, 'size');
  check.equal(attribute(device, 'ro'), '1', 'read-only');
  check.equal(attribute(device, 'queue/logical_block_size'), '4096', 'block size');
  check.equal(await deviceSha256(device), images.flat.sha256, 'the whole device');
  const status = await daemon.runProgram('status', '--json');
  check.equal([status.code, status.stderr], [0, ''], 'status succeeds');
  const { devices } = JSON.parse(status.stdout) as DaemonStatus;
  check.equal(devices.length, 1, 'one device');
  const [found] = devices;
  check.equal(
    [found?.device, found?.export, found?.state, found?.connections, found?.liveConnections],
    [device, 'flat', 'connected', 4, 4],
    'status shows the device',
  );
  check.equal([found?.errors, found?.reconnects], [0, 0], 'no errors');
  check.ok((found?.bytesSent ?? 0) >= images.flat.size, 'the whole device was read');
  const detached = await daemon.runProgram('detach', device);
  check.equal(detached, { code: 0, stdout: '', stderr: '' }, 'detach succeeds');
  await untilConnected(device, false);
  check.equal(attribute(device, 'size'), '0', 'the device is free');
  check.equal((await daemon.control.status()).devices, [], 'status shows no device');
}

/** With an image no daemon has to run: the command starts one, which ends after its last device. */
async function onDemand(check: Check, { folder, images }: World): Promise<void> {
  const state = mkdtempSync(join(tmpdir(), 'obd-on-demand-'));
  const daemon = new Daemon([], { state });
  const { code, stdout, stderr } = await daemon.runProgram('attach', join(folder, 'flat.obd'));
  check.equal([code, stderr], [0, ''], 'attach succeeds');
  const device = stdout.trim();
  check.defer(async () => {
    if (isConnected(device)) await daemon.run('detach', '--force', device);
    rmSync(state, { recursive: true });
  });
  check.equal(await deviceSha256(device), images.flat.sha256, 'the whole device');
  const { pid } = await daemon.control.status();
  await daemon.control.detach(device, {});
  await untilConnected(device, false);
  const gone = await runTool('tail', [`--pid=${pid}`, '-f', '/dev/null'], { timeout: 30_000 });
  check.equal(gone.code, 0, 'the daemon ends by itself');
}

async function inUse(check: Check, { daemon }: World): Promise<void> {
  const device = await attach(check, daemon, { export: 'flat' });
  const busy = await daemon.run('attach', 'ext4', '--device', device);
  check.equal([busy.code, busy.stdout], [1, ''], 'a device in use is refused');
  check.match(busy.stderr, new RegExp(`${device}: .*in use`), 'the error names the device');
  const odd = await daemon.run('attach', 'ext4', '--device', '/dev/loop0');
  check.equal([odd.code, odd.stdout], [2, ''], 'a device that is not an NBD device is refused');
  check.match(odd.stderr, /\/dev\/loop0: /, 'the error names the device');
  check.equal((await daemon.control.status()).devices.length, 1, 'no other device is attached');
}

async function mounted(check: Check, { daemon }: World): Promise<void> {
  const device = await attach(check, daemon, { export: 'ext4' });
  const root = mkdtempSync(join(tmpdir(), 'obd-mounted-'));
  check.equal((await runTool('mount', ['-o', 'ro,noload', device, root])).code, 0, 'mounts');
  const refused = await daemon.run('detach', device);
  check.equal(refused.code, 1, 'detach is refused');
  check.match(refused.stderr, /mounted/, 'because it is mounted');
  check.ok(isConnected(device), 'the device stays');
  const forced = await daemon.run('detach', device, '--force');
  check.equal(forced, { code: 0, stdout: '', stderr: '' }, 'detach --force works');
  check.equal((await runTool('umount', [root])).code, 0, 'unmounts');
  await untilConnected(device, false);
  rmSync(root, { recursive: true });
}

async function allDevices(check: Check, { daemon, images }: World): Promise<void> {
  const log = new KernelLog();
  const devices: string[] = [];
  for (let i = 0; i < DEVICES; i++) {
    devices.push(await attach(check, daemon, { export: 'flat', connections: 1 }));
  }
  check.equal(new Set(devices).size, DEVICES, 'all devices differ');
  const count = readdirSync('/sys/block').filter((name) => name.startsWith('nbd')).length;
  const one = await daemon.run('attach', 'flat', '--connections', '1');
  const next = `/dev/nbd${count}`;
  check.equal(
    one,
    { code: 0, stdout: `${next}\n`, stderr: '' },
    'the kernel makes one more device',
  );
  check.defer(() => daemon.control.detach(next, { force: true }).catch(() => undefined));
  devices.push(next);
  const sums = await Promise.all(devices.map((device) => deviceSha256(device)));
  check.equal([...new Set(sums)], [images.flat.sha256], 'all devices are read at the same time');
  const { devices: told } = await daemon.control.status();
  check.equal(
    told.map(({ device, state, errors }) => [device, state, errors]),
    devices.map((device) => [device, 'connected', 0]),
    'status shows all devices',
  );
  check.equal([...log.errors(), ...log.troubles()], [], 'no error');
  const all = await daemon.run('detach', '--all');
  check.equal(all, { code: 0, stdout: '', stderr: '' }, 'detach --all succeeds');
  check.equal(
    devices.filter((device) => isConnected(device)),
    [],
    'all devices are free',
  );
}

/** Never more devices than the limit of the daemon. */
async function maxDevices(check: Check, { folder, images }: World): Promise<void> {
  const daemon = new Daemon([join(folder, 'flat.obd'), '--max-devices', '2']);
  check.defer(() => daemon.stop());
  const first = await attach(check, daemon, { export: '' });
  await attach(check, daemon, { export: '' });
  const third = await daemon.run('attach', '--export', '');
  check.equal([third.code, third.stdout], [1, ''], 'one more is refused');
  check.match(third.stderr, /2 devices attached.*--max-devices/, 'the error tells the limit');
  check.equal(await deviceSha256(first), images.flat.sha256, 'the other devices go on');
}

/** A unit whose stop was refused is started again: its device is still attached. */
async function addedExport(check: Check, { daemon, images, folder }: World): Promise<void> {
  await daemon.start();
  const added = await daemon.runProgram('exports', 'add', 'added', join(folder, 'flat.img'));
  check.equal([added.code, added.stderr], [0, ''], 'exports add');
  const other = await daemon.run('attach', 'added', '--platform', 'linux/none');
  check.equal([other.code, other.stdout], [2, ''], 'settings that the daemon does not have');
  check.match(other.stderr, /registries\.platform\. Set them in its daemon\.json/, 'names the key');
  const device = (await daemon.run('attach', 'added')).stdout.trim();
  check.equal(await deviceSha256(device), images.flat.sha256, 'the whole device');
  const refused = await daemon.run('exports', 'rm', 'added');
  check.equal(refused.code, 1, 'a device is attached to it');
  check.ok(refused.stderr.includes(`in use by ${device}: detach it first`), refused.stderr);
  await daemon.kill();
  await daemon.ready();
  await untilConnected(device, true);
  check.equal(await deviceSha256(device), images.flat.sha256, 'after kill -9');
  check.equal((await daemon.run('exports', 'rm', 'added')).code, 1, 'it was kept');
  check.equal((await daemon.run('detach', device)).code, 0, 'detach');
  const removed = await daemon.runProgram('exports', 'rm', 'added');
  check.equal([removed.code, removed.stderr], [0, ''], 'exports rm');
}

async function attachAgain(check: Check, { daemon, images }: World): Promise<void> {
  const device = await attach(check, daemon, { export: 'flat', index: 5 });
  const file = openSync(device, 'r');
  const stop = await daemon.run('detach', device);
  check.equal([stop.code, stop.stdout], [1, ''], 'a device that a process has open stays');
  check.match(stop.stderr, /in use: opened by a process.*--force/, 'the error tells the reason');
  const start = await daemon.run('attach', 'flat', '--device', device);
  check.equal(start, { code: 0, stdout: `${device}\n`, stderr: '' }, 'attach succeeds again');
  const other = await daemon.run('attach', 'ext4', '--device', device);
  check.equal([other.code, other.stdout], [1, ''], 'but attach of another export is refused');
  check.match(
    other.stderr,
    /this daemon has attached the export "flat" to it/,
    'the error names the export',
  );
  check.equal(await deviceSha256(device), images.flat.sha256, 'the device goes on');
  closeSync(file);
  const end = await daemon.run('detach', device);
  check.equal(end, { code: 0, stdout: '', stderr: '' }, 'then it can be detached');
  await untilConnected(device, false);
}

async function must(...line: [string, ...string[]]): Promise<void> {
  const { code, stderr } = await runTool(line[0], line.slice(1));
  if (code !== 0) throw new Error(`${line.join(' ')}: ${stderr}`);
}

/** The only user of the device is a file system that no mount table shows any more. */
async function heldByOverlay(check: Check, { daemon, images, folder }: World): Promise<void> {
  if (!images.fileSystems.includes('ext4')) return check.skip('', 'NOT TESTED: no ext4');
  const device = await attach(check, daemon, { export: 'ext4' });
  const root = mkdtempSync(join(tmpdir(), 'obd-overlay-'));
  for (const each of ['low', 'rw', 'all']) mkdirSync(join(root, each));
  const [low, rw, all] = ['low', 'rw', 'all'].map((each) => join(root, each)) as [
    string,
    string,
    string,
  ];
  await must('mount', '-t', 'tmpfs', 'tmpfs', rw);
  for (const each of ['up', 'work']) mkdirSync(join(rw, each));
  check.defer(() => runTool('umount', ['-l', rw]));
  await must('mount', '-o', 'ro,noload', device, low);
  check.defer(() => runTool('umount', ['-l', all]));
  const options = `lowerdir=${low},upperdir=${rw}/up,workdir=${rw}/work`;
  await must('mount', '-t', 'overlay', '-o', options, 'overlay', all);
  await must('umount', '-l', low);
  const refused = await daemon.control.detach(device, {}).catch((error: unknown) => error);
  check.match(String(refused), /in use: it is mounted.*overlay/, 'the control API refuses');
  check.ok(isConnected(device), 'the device stays');
  await checkTree(check, { images, folder }, all, 'the overlay');
  await must('umount', all);
  await daemon.control.detach(device, {});
  check.ok(!isConnected(device), 'it is detached as soon as the overlay is unmounted');
}

async function withoutNetlink(check: Check, { images, folder }: World): Promise<void> {
  const env = { OVERLAYBD_NBD_NO_NETLINK: '1' };
  const daemon = new Daemon([join(folder, 'flat.obd')], { env });
  await daemon.start();
  check.defer(() => daemon.stop());
  const { device } = await daemon.control.attach({ export: '' });
  await untilConnected(device, true);
  check.equal(await deviceSha256(device), images.flat.sha256, 'the whole device');
  await daemon.control.detach(device, {});
  await untilConnected(device, false);
  const again = await daemon.control.attach({ export: '' });
  await untilConnected(again.device, true);
  const log = new KernelLog();
  await daemon.stop();
  await untilConnected(again.device, false);
  check.ok(freeDevice(), 'the device ends with the daemon');
  check.equal(log.troubles(), [], 'no trouble');
}

/** Without the kernel module there is an error, and no daemon is started. */
async function moduleMissing(check: Check, { daemon, inVm, folder }: World): Promise<void> {
  if (!inVm) {
    check.skip('', 'NOT TESTED: the kernel of this machine must keep its module');
    return;
  }
  await daemon.start();
  unloadModule();
  check.defer(loadModule);
  const { code, stdout, stderr } = await daemon.run('attach', 'flat');
  check.equal([code, stdout], [1, ''], 'attach is refused');
  check.match(stderr, /modprobe nbd/, 'the error tells what to do');
  const root = join(folder, 'never');
  mkdirSync(root);
  const mount = await daemon.run('mount', 'ext4', root);
  check.equal([mount.code, mount.stdout], [1, ''], 'mount is refused');
  check.match(mount.stderr, /modprobe nbd/, 'the error tells what to do');
  check.match(mount.stderr, /--fuse/, 'and the way without the module');
  rmSync(root, { recursive: true });
}
