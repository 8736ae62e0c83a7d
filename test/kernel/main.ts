// `npm run test:kernel`: makes the images, then runs guest.ts in a VM, or here where /dev/nbd0 is and root may use it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { makeImages } from './images.js';

/** Seconds. The suite takes about a third of it on an emulated processor beside other tests. */
const LIMIT = 2400;

const VM_RUN = fileURLToPath(new URL('../../../test/kernel/vm-run', import.meta.url));
const GUEST = fileURLToPath(new URL('guest.js', import.meta.url));

const USAGE = `npm run test:kernel -- [options]

  --case TEXT      only cases with TEXT in their names; repeatable
  --long           cases that depend on chance repeat their steps more often
  --console FILE   keep what the VM's kernel prints
  --keep           keep the folder with the images

OVERLAYBD_NBD_KERNEL=vm or =direct says where they run; without it they run here if /dev/nbd0 is there
and this is root, else in a VM.
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
    await makeImages(folder);
    const seconds = (performance.now() - begin) / 1000;
    console.log(`# images made in ${seconds.toFixed(1)} s; running ${place()}`);
    const guest = [process.execPath, GUEST, ...(values.long ? ['--long'] : [])];
    guest.push('--', folder, ...values.case);
    if (place() === 'direct') return run(guest);
    const options = ['--share', folder, '--timeout', `${LIMIT}`];
    if (values.console !== undefined) options.push('--console', values.console);
    return run([VM_RUN, ...options, '--', ...guest]);
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

function run([program = '', ...args]: readonly string[]): number {
  const env = { ...process.env, OVERLAYBD_NBD_KERNEL: place() };
  const { status, error } = spawnSync(program, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env,
  });
  if (error) throw error;
  return status ?? 1;
}
