// Runs the cases on the tested kernel: in the VM, or on a machine with /dev/nbd0. images.ts has made its images.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isWanted, kernelCases, processorsOf } from './cases.js';
import { runCases } from './checks.js';
import { Daemon } from './daemon.js';
import type { Images } from './images.js';
import { kernelLines, prepareKernel } from './kernel.js';
import type { World } from './world.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { long: { type: 'boolean', default: false }, processors: { type: 'string' } },
});
const [folder = '', ...wanted] = positionals;
const images = JSON.parse(readFileSync(join(folder, 'images.json'), 'utf8')) as Images;
const inVm = process.env['OVERLAYBD_NBD_KERNEL'] === 'vm';

const cases = kernelCases(images, values.long).filter((each) => {
  const isHere =
    values.processors === undefined || processorsOf(each) === Number(values.processors);
  return isHere && isWanted(each, wanted);
});

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
const good = await runCases(cases, world, explain);
await world.daemon.stop();
process.exit(good ? 0 : 1);
