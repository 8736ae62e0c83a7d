// `npm run test:kernel`: makes the images, then runs guest.ts in VMs, or here where /dev/nbd0 is and root may use it.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isWanted, kernelCases, PROCESSORS, processorsOf } from './cases.js';
import { makeImages, type Images } from './images.js';
import { Results, VM_RUN } from './results.js';

/** Seconds of each machine. It takes about a third of it on an emulated processor beside other tests. */
const LIMIT = 2400;

const GUEST = fileURLToPath(new URL('guest.js', import.meta.url));

const USAGE = `npm run test:kernel -- [options]

  --case TEXT      only cases with TEXT in their names; repeatable
  --long           cases that depend on chance repeat their steps more often
  --console FILE   keep what the last VM's kernel prints
  --keep           keep the folder with the images

OVERLAYBD_NBD_KERNEL=vm or =direct says where they run; without it they run here if /dev/nbd0 is there
and this is root, else in VMs.
`;

const { values } = parseArgs({
  options: {
    case: { type: 'string', multiple: true, default: [] },
    long: { type: 'boolean', default: false },
    console: { type: 'string' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
process.exitCode = values.help ? usage() : await main();

function usage(): number {
  process.stdout.write(USAGE);
  return 0;
}

async function main(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'obd-kernel-'));
  try {
    const begin = performance.now();
    const images = await makeImages(folder, values.long);
    const seconds = (performance.now() - begin) / 1000;
    console.log(`# images made in ${seconds.toFixed(1)} s; running ${place()}`);
    return place() === 'direct' ? await direct(folder) : await inMachines(folder, images);
  } finally {
    if (!values.keep) rmSync(folder, { recursive: true, force: true });
    else console.log(`# kept: ${folder}`);
  }
}

function place(): 'vm' | 'direct' {
  const wanted = process.env['OVERLAYBD_NBD_KERNEL'];
  if (wanted === 'vm' || wanted === 'direct') return wanted;
  return existsSync('/dev/nbd0') && process.getuid?.() === 0 ? 'direct' : 'vm';
}

async function direct(folder: string): Promise<number> {
  const results = new Results();
  const code = await results.run(guest(folder), environment());
  return results.end() || code;
}

/** @returns the exit code: that of the first machine that failed */
async function inMachines(folder: string, images: Images): Promise<number> {
  const results = new Results();
  const wanted = kernelCases(images, values.long).filter((each) => isWanted(each, values.case));
  let failed = 0;
  for (const processors of PROCESSORS) {
    if (!wanted.some((each) => processorsOf(each) === processors)) continue;
    const options = ['--cpus', `${processors}`, '--share', folder, '--timeout', `${LIMIT}`];
    if (values.console !== undefined) options.push('--console', values.console);
    const begin = performance.now();
    const command = guest(folder, '--processors', `${processors}`);
    const code = await results.run([VM_RUN, ...options, '--', ...command], environment());
    failed ||= code;
    const seconds = ((performance.now() - begin) / 1000).toFixed(0);
    console.log(`#   the machine with --cpus ${processors} took ${seconds} s`);
  }
  return results.end() || failed;
}

function guest(folder: string, ...options: readonly string[]): string[] {
  const long = values.long ? ['--long'] : [];
  return [process.execPath, GUEST, ...long, ...options, '--', folder, ...values.case];
}

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, OVERLAYBD_NBD_KERNEL: place() };
}
