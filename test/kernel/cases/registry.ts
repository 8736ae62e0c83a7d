// A device whose image is in a registry: mounted by its name, and served from the cache after the daemon was killed and
// the registry has gone.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Case, Check } from '../checks.js';
import { Daemon } from '../daemon.js';
import { checkTree, untilConnected } from '../device.js';
import { KernelLog } from '../kernel.js';
import type { World } from '../world.js';

const FRONT = fileURLToPath(new URL('../../support/registry/main.js', import.meta.url));
const PORT = 5099;
const HOST = `127.0.0.1:${PORT}`;

export function registryCases(): Case<World>[] {
  return [{ name: 'an image of a registry', timeout: 400, run: fromRegistry }];
}

async function fromRegistry(check: Check, world: World): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'obd-registry-'));
  const stop = await startRegistry(folder, join(world.folder, 'ext4.obd'));
  check.defer(stop);
  const config = join(folder, 'daemon.json');
  const registries = { plainHttp: [HOST], cache: { folder: join(folder, 'cache') } };
  writeFileSync(config, JSON.stringify({ exports: {}, registries }));
  const daemon = new Daemon(['--config', config]);
  check.defer(() => daemon.stop());
  await daemon.start();
  const root = mkdtempSync(join(tmpdir(), 'obd-mount-'));
  const log = new KernelLog();
  const mounted = await daemon.run('mount', `docker://${HOST}/test/app:app`, root);
  if (!check.equal(mounted.code, 0, 'it is mounted by its name')) {
    check.note(mounted.stderr + daemon.log);
    return;
  }
  const [device] = (await daemon.control.status()).devices;
  check.ok((device?.timeoutSeconds ?? 0) > 20, 'the kernel waits longer than a fetch may take');
  await checkTree(check, world, root, 'from the registry');

  await stop();
  await daemon.kill();
  await daemon.ready();
  check.defer(() => {
    for (const line of daemon.log.split('\n')) check.note(line);
  });
  await checkTree(check, world, root, 'from the cache, after kill -9, without the registry');
  check.match(daemon.log, /which may be outdated/, 'the log says that nothing newer is known');
  const unmounted = await daemon.run('umount', root);
  check.equal(unmounted, { code: 0, stdout: '', stderr: '' }, 'umount succeeds');
  rmdirSync(root);
  if (device) await untilConnected(device.device, false);
  check.equal(log.errors(), [], 'no error of the kernel');
}

/** Serves one layer as an image. @returns what stops it */
async function startRegistry(folder: string, layer: string): Promise<() => Promise<void>> {
  const image = join(folder, 'image.json');
  writeFileSync(image, JSON.stringify({ lowers: [{ file: layer }] }));
  const args = ['--layout', join(folder, 'layout'), '--image', image, '--port', `${PORT}`];
  const child = spawn(process.execPath, [FRONT, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = once(child, 'exit');
  await once(createInterface(child.stdout), 'line');
  return async () => {
    child.kill('SIGKILL');
    await gone;
  };
}
