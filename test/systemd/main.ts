// `npm run test:systemd`: boots the machines of all cases, each in a VM, with this machine's systemd and the project's
// package, and runs guest.ts in them. Adds up all results.
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Results, VM_RUN } from '../kernel/results.js';
import { findTool } from '../support/tools.js';
import { CASES } from './cases.js';
import { makePackages, NEXT_PACKAGE, PACKAGE } from './debs.js';
import { makeHostImages } from './images.js';
import type { HostCase } from './host-case.js';
import { machinesOf } from './machines.js';

/** Seconds for each case of a machine; the longest one takes a third of it. */
const LIMIT = 1200;

const GUEST = fileURLToPath(new URL('guest.js', import.meta.url));

const USAGE = `npm run test:systemd -- [options]

  --case TEXT      only cases with TEXT in their names; repeatable
  --core           only those that show the main path
  --console FILE   keep what the last machine's kernel and systemd print
`;

const { values } = parseArgs({
  options: {
    case: { type: 'string', multiple: true, default: [] },
    core: { type: 'boolean', default: false },
    console: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
process.exitCode = values.help ? usage() : await main();

function usage(): number {
  process.stdout.write(USAGE);
  return 0;
}

async function main(): Promise<number> {
  const results = new Results();
  const missing = ['mke2fs', 'qemu-system-x86_64', 'dpkg-shlibdeps'].filter(
    (tool) => findTool(tool) === null,
  );
  const wanted = CASES.filter(
    ({ name, core }) =>
      (!values.core || core === true) &&
      (values.case.length === 0 || values.case.some((text) => name.includes(text))),
  );
  const packages = mkdtempSync(join(tmpdir(), 'obd-packages-'));
  try {
    if (missing.length === 0) makePackages(packages);
    if (missing.length === 0) {
      for (const cases of machinesOf(wanted)) await boot(results, cases, packages);
    } else {
      const why = `NOT TESTED, not installed: ${missing.join(', ')}`;
      for (const { name } of wanted) results.add(true, `${name} # SKIP ${why}`);
    }
  } finally {
    rmSync(packages, { recursive: true, force: true });
  }
  return results.end();
}

/** One machine from its first process to its end. */
async function boot(results: Results, cases: readonly HostCase[], packages: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'obd-systemd-'));
  try {
    mkdirSync(join(folder, 'images'));
    await makeHostImages(join(folder, 'images'));
    for (const name of [PACKAGE, NEXT_PACKAGE]) {
      linkSync(join(packages, name), join(folder, 'images', name));
    }
    writeFileSync(join(folder, 'before'), cases[0]?.before(join(folder, 'images')) ?? '');
    const terminal = values.console ?? join(folder, 'console');
    const begin = performance.now();
    const { failed } = results;
    const machine = ['--systemd', '--before', join(folder, 'before'), '--share', folder];
    // A second processor that is emulated costs more than it gives.
    machine.push('--cpus', '1');
    const limits = ['--timeout', `${LIMIT * cases.length}`, '--console', terminal];
    const names = cases.map(({ name }) => name);
    const guest = [process.execPath, GUEST, join(folder, 'images'), ...names];
    const code = await results.run([VM_RUN, ...machine, ...limits, '--', ...guest]);
    const shown = readFileSync(terminal, 'latin1');
    // A failed check has its own line already.
    const good = code === 0 || results.failed > failed;
    for (const { name, judge } of cases) {
      results.add(good, `${name}: the machine ends cleanly`);
      for (const { good: fine, what } of judge?.(shown) ?? []) {
        results.add(fine, `${name}: ${what}`);
      }
    }
    if (!good) console.log(`#   exit ${code}`);
    if (results.failed > failed)
      console.log(shown.replaceAll('\r', '').replaceAll(/^/gm, '# console: '));
    const seconds = ((performance.now() - begin) / 1000).toFixed(0);
    console.log(`#   the machine of ${names.join('; ')} took ${seconds} s`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
