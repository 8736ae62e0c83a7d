// Changes one bound at a time in copies of the compiled daemon, and expects the mirrored unit tests to fail:
// `npm run test:mutation`. A change that no test notices fails the run, unless table.ts gives a reason for it.
// Usage: node out/test/mutation/main.js [--core] [PART], with which only mutants run whose names have that part.
// --core is for beside the tests themselves: it does not run them without a change, and takes only constants of files of
// limits, without those that survive, which take all of the time of their tests.
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { killAllOnSignal, runTestFile } from '../runner/test-process.js';
import { makeMutants, type Mutant } from './mutants.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const JOBS = 2;
const TIMEOUT_MS = 120_000;

/** A folder like the project's, with its own out/. */
function copyProject(): string {
  const copy = mkdtempSync(join(tmpdir(), 'overlaybd-nbd-mutation-'));
  for (const name of readdirSync(ROOT)) {
    if (name === 'out') cpSync(join(ROOT, name), join(copy, name), { recursive: true });
    else if (!name.startsWith('.')) symlinkSync(join(ROOT, name), join(copy, name));
  }
  return copy;
}

async function passes(copy: string, tests: readonly string[]): Promise<boolean> {
  for (const test of tests) {
    const surroundings = { folder: copy, environment: { TAP_BAIL: '1' } };
    const { code } = await runTestFile(join(copy, test), TIMEOUT_MS, surroundings);
    if (code !== 0) return false;
  }
  return true;
}

/** Beside other work a test may miss the bound that it tests; so ask twice for a mutant that must be killed. */
async function survives(copy: string, mutant: Mutant): Promise<boolean> {
  const path = join(copy, mutant.file);
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, mutant.apply(text));
  try {
    return await passes(copy, mutant.tests);
  } finally {
    writeFileSync(path, text);
  }
}

/** Each item once, as many at a time as there are copies. */
async function share<T>(
  items: readonly T[],
  copies: readonly string[],
  work: (item: T, copy: string) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const one = async (copy: string): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item, copy);
  };
  await Promise.all(copies.map(one));
}

async function main(part: string, isCore: boolean): Promise<boolean> {
  const begin = performance.now();
  const mutants = (await makeMutants(ROOT)).filter(
    ({ name, isLimit, survives: reason }) =>
      name.includes(part) && (!isCore || (isLimit && reason === undefined)),
  );
  for (const { file, apply } of mutants) apply(readFileSync(join(ROOT, file), 'utf8'));
  const problems: string[] = [];
  let killed = 0;
  let listed = 0;
  const copies = Array.from({ length: JOBS }, copyProject);
  try {
    // A test that fails without a mutant would kill every mutant.
    const tests = [...new Set(mutants.flatMap((mutant) => mutant.tests))];
    await share(isCore ? [] : tests, copies, async (test, copy) => {
      if (!(await passes(copy, [test]))) problems.push(`${test} fails without any change`);
    });
    if (problems.length === 0)
      await share(mutants, copies, async (mutant, copy) => {
        const { name, survives: reason } = mutant;
        const isKilled =
          !(await survives(copy, mutant)) ||
          (reason === undefined && !(await survives(copy, mutant)));
        if (isKilled) {
          killed++;
          if (reason !== undefined) problems.push(`${name}: is killed, and listed: remove it`);
        } else if (reason === undefined) problems.push(`${name}: SURVIVED`);
        else {
          listed++;
          console.log(`${name}: survives: ${reason}`);
        }
      });
  } finally {
    for (const copy of copies) rmSync(copy, { recursive: true, force: true });
  }
  for (const problem of problems) console.error(problem);
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  console.log(
    `${mutants.length} mutants: ${killed} killed, ${listed} survive with a reason, in ${seconds} s`,
  );
  return mutants.length > 0 && problems.length === 0;
}

killAllOnSignal();
const words = process.argv.slice(2);
const isCore = words[0] === '--core';
process.exitCode = (await main(words[isCore ? 1 : 0] ?? '', isCore)) ? 0 : 1;
