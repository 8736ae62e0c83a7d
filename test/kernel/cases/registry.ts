// A device whose image is in a registry: mounted by its name, and served from the cache after the daemon was killed and
// the registry has gone.
import { mkdtempSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FaultFront } from '../../support/registry/fault-front.js';
import { ImageLayout } from '../../support/registry/image-layout.js';
import { pushImage } from '../../support/registry/push-image.js';
import type { Case, Check } from '../checks.js';
import { Daemon } from '../daemon.js';
import { checkTree, untilConnected } from '../device.js';
import { KernelLog } from '../kernel.js';
import type { World } from '../world.js';

const REPOSITORY = 'test/app';
const TAG = 'app';

export function registryCases(): Case<World>[] {
  return [{ name: 'an image of a registry', timeout: 400, run: fromRegistry }];
}

async function fromRegistry(check: Check, world: World): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'obd-registry-'));
  const registry = await startRegistry(folder, join(world.folder, 'ext4.obd'));
  check.defer(() => registry.stop());
  const config = join(folder, 'daemon.json');
  const registries = { plainHttp: [registry.host], cache: { folder: join(folder, 'cache') } };
  writeFileSync(config, JSON.stringify({ exports: {}, registries }));
  const daemon = new Daemon(['--config', config]);
  check.defer(() => daemon.stop());
  await daemon.start();
  const root = mkdtempSync(join(tmpdir(), 'obd-mount-'));
  const log = new KernelLog();
  const mounted = await daemon.run('mount', `docker://${registry.name(REPOSITORY, TAG)}`, root);
  if (!check.equal(mounted.code, 0, 'it is mounted by its name')) {
    check.note(mounted.stderr + daemon.log);
    return;
  }
  const [device] = (await daemon.control.status()).devices;
  check.ok((device?.timeoutSeconds ?? 0) > 20, 'the kernel waits longer than a fetch may take');
  await checkTree(check, world, root, 'from the registry');

  await registry.die();
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

/** Serves one layer as an image. */
async function startRegistry(folder: string, layer: string): Promise<FaultFront> {
  const layout = new ImageLayout(join(folder, 'layout'));
  await pushImage(layout, { blobs: [layer], tag: TAG });
  return FaultFront.start(null, { repositories: { [REPOSITORY]: layout } });
}
