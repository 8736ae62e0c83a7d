// Runs the cases on the tested kernel: in the VM, or on a machine with /dev/nbd0. images.ts has made its images.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { attachCases } from './cases/attach.js';
import { daemonsCases } from './cases/daemons.js';
import { layeredCases } from './cases/layered.js';
import { mountCases } from './cases/mount.js';
import { mountPartsCases } from './cases/mount-parts.js';
import { nbdClientCases } from './cases/nbd-client.js';
import { registryCases } from './cases/registry.js';
import { shutdownCases } from './cases/shutdown.js';
import { survivalCases } from './cases/survival.js';
import { udevCases } from './cases/udev.js';
import { runCases, type Case } from './checks.js';
import { Daemon } from './daemon.js';
import type { Images } from './images.js';
import { kernelLines, prepareKernel } from './kernel.js';
import type { World } from './world.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { long: { type: 'boolean', default: false } },
});
const [folder = '', ...wanted] = positionals;
const images = JSON.parse(readFileSync(join(folder, 'images.json'), 'utf8')) as Images;
const inVm = process.env['OVERLAYBD_NBD_KERNEL'] === 'vm';

const cases: readonly Case<World>[] = [
  ...udevCases(),
  ...nbdClientCases(images, values.long),
  ...attachCases(),
  ...mountCases(images),
  ...mountPartsCases(),
  ...layeredCases(),
  ...survivalCases(),
  ...registryCases(),
  ...shutdownCases(),
  ...daemonsCases(),
];

/** The ends of both logs. */
function explain(): string {
  const ends = { kernel: kernelLines(), daemon: world.daemon.log.trim().split('\n') };
  return Object.entries(ends)
    .flatMap(([name, lines]) => lines.slice(-15).map((line) => `${name}: ${line}`))
    .join('\n');
}

prepareKernel(inVm);
const daemon = new Daemon(['--config', images.config]);
const world: World = { folder, images, inVm, isLong: values.long, daemon };
const good = await runCases(
  cases.filter(({ name }) => wanted.length === 0 || wanted.some((text) => name.includes(text))),
  world,
  explain,
);
await world.daemon.stop();
process.exit(good ? 0 : 1);
