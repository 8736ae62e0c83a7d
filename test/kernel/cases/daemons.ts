// Several processes at the same devices: two daemons that leave each other's devices alone, and an unprivileged daemon
// with its helper.
import { spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { runTool } from '../../support/tools.js';
import { HelperDriver } from '../../../daemon/kernel/helper-driver.js';
import { attach } from '../attachment.js';
import type { Case, Check } from '../checks.js';
import { PROGRAM } from '../../support/program.js';
import { Daemon } from '../daemon.js';
import { attribute, deviceSha256, isConnected, untilConnected } from '../device.js';
import { KernelLog, dropCaches } from '../kernel.js';
import type { World } from '../world.js';

/** The user "nobody". */
const NOBODY = 65534;

export function daemonsCases(): Case<World>[] {
  return [
    { name: 'two daemons', timeout: 240, run: twoDaemons },
    { name: 'a daemon without privileges', tools: ['setpriv'], timeout: 240, run: unprivileged },
  ];
}

async function twoDaemons(check: Check, { daemon, folder, images }: World): Promise<void> {
  const image = join(folder, 'flat.obd');
  const device = await attach(check, daemon, { export: 'flat', timeoutSeconds: 3 });
  const backend = attribute(device, 'backend');
  const same = await runTool(
    process.execPath,
    [
      PROGRAM,
      'serve',
      image,
      '--state',
      daemon.state,
      '--listen',
      `unix://${daemon.folder}/other.sock`,
    ],
    { timeout: 60_000 },
  );
  check.ok(same.code > 0, 'a second one with the same state folder is refused');
  check.match(same.stderr, /another daemon uses it/, 'the error tells the reason');
  check.equal(await deviceSha256(device), images.flat.sha256, 'the first one goes on');

  await daemon.kill({ stayAway: true });
  const second = new Daemon([image]);
  check.defer(() => second.stop());
  await second.start();
  await pause(1000);
  check.equal(
    (await second.control.status()).devices,
    [],
    'a second daemon does not take the devices of a dead one',
  );
  const refused = await second.run('detach', device, '--force');
  check.equal(refused.code, 1, 'nor does it detach them');
  check.equal(attribute(device, 'backend'), backend, 'the device is unchanged');
  const own = await second.control.attach({ export: '' });
  check.ok(own.device !== device, 'the second daemon gets another device');
  await untilConnected(own.device, true);
  check.equal(await deviceSha256(own.device), images.flat.sha256, 'its device works');
  await daemon.start();
  check.equal(
    await deviceSha256(device),
    images.flat.sha256,
    'the first daemon has its device again',
  );
  await second.control.detach(own.device, {});
  await untilConnected(own.device, false);
  check.ok(isConnected(device), 'and keeps it');
}

async function unprivileged(check: Check, { folder, images }: World): Promise<void> {
  const nobody: [string, ...string[]] = [
    'setpriv',
    `--reuid=${NOBODY}`,
    `--regid=${NOBODY}`,
    '--clear-groups',
    '--inh-caps=-all',
  ];
  const image = join(folder, 'flat.obd');
  chmodSync(folder, 0o755);
  const [program, ...options] = nobody;
  const readable = await runTool(program, [...options, 'test', '-r', PROGRAM, '-a', '-r', image]);
  if (readable.code !== 0) {
    check.skip('', `NOT TESTED: user ${NOBODY} cannot read ${PROGRAM}`);
    return;
  }
  const socket = '/run/obd-test-helper.sock';
  const helper = spawn(
    process.execPath,
    [PROGRAM, 'attach-helper', '--socket', socket, '--allow-user', `${NOBODY}`],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  helper.stderr.on('data', (part: Buffer) => (said += part.toString()));
  check.defer(() => helper.kill('SIGTERM'));
  for (let i = 0; !existsSync(socket); i++) {
    if (i > 600) throw new Error(`the helper does not listen: ${said}`);
    await pause(50);
  }
  const log = new KernelLog();
  const daemon = new Daemon([image, '--attach-helper', socket], { prefix: nobody });
  mkdirSync(daemon.state, { mode: 0o700 });
  for (const path of [daemon.folder, daemon.state]) chownSync(path, NOBODY, NOBODY);
  check.defer(() => daemon.stop());
  const device = await attach(check, daemon, { export: '', timeoutSeconds: 3 });
  check.match(
    attribute(device, 'backend'),
    /^overlaybd-nbd:/,
    'the backend is that of overlaybd-nbd',
  );
  check.equal(await deviceSha256(device), images.flat.sha256, 'the whole device');
  dropCaches();
  const reading = runTool('sha256sum', [device]);
  await daemon.kill();
  await daemon.ready();
  check.equal((await reading).stdout.slice(0, 64), images.flat.sha256, 'a read survives kill -9');
  check.equal(await deviceSha256(device), images.flat.sha256, 'the device survives it too');
  await daemon.control.detach(device, {});
  await untilConnected(device, false);
  check.match(said, /connect \/dev\/nbd/, 'the helper connected the device');
  await foreignDevice(check, socket, image);
  check.equal([...log.errors(), ...log.troubles()], [], 'the kernel saw no error and no hung task');
}

/** A user who may use the helper asks it for a device that another program has connected by ioctl. */
async function foreignDevice(check: Check, socket: string, image: string): Promise<void> {
  const foreign = new Daemon([image], { env: { OVERLAYBD_NBD_NO_NETLINK: '1' } });
  check.defer(() => foreign.stop());
  const device = await attach(check, foreign, { export: '' });
  const index = Number(device.slice('/dev/nbd'.length));
  const owner = {
    backend: 'overlaybd-nbd:0123456789abcdef',
    kernelPid: Number(attribute(device, 'pid')),
  };
  const driver = new HelperDriver(socket);
  check.defer(() => driver.close());
  for (const attempt of [
    () => driver.disconnect(index, owner),
    () => driver.release(index, owner, false),
    () => driver.disconnectOnClose(index, owner),
    () => driver.reconfigure(index, owner, []),
  ]) {
    const refusal = await attempt().catch((error: unknown) => error);
    check.match(String(refusal), /not known to be/, 'the helper refuses');
  }
  check.ok(isConnected(device), 'the device of another program stays');
}
