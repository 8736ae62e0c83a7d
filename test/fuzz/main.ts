// The entry of the fuzzer: `npm run fuzz`. Its invariants are in nbd-case.ts, judge.ts and formats-target.ts
// and documents/.
import { documentsTarget } from './documents-target.js';
import { formatsTarget } from './formats-target.js';
import { nbdTarget } from './nbd-target.js';
import { USAGE, parseOptions, type FuzzOptions } from './options.js';
import { runCases } from './run.js';

const TARGETS = { nbd: nbdTarget, formats: formatsTarget, documents: documentsTarget } as const;

async function main(): Promise<void> {
  let options: FuzzOptions | undefined;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exitCode = 2;
    return;
  }
  if (!options) {
    console.log(USAGE);
    return;
  }
  const target = TARGETS[options.target]();
  if (!(await runCases(target, options))) process.exitCode = 1;
}

await main();
