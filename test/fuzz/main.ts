// The entry of the fuzzer: `npm run fuzz`. Its invariants are in nbd-case.ts, judge.ts and formats-target.ts.
import { formatsTarget } from './formats-target.js';
import { nbdTarget } from './nbd-target.js';
import { USAGE, parseOptions, type FuzzOptions } from './options.js';
import { runCases } from './run.js';

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
  const target = options.target === 'nbd' ? nbdTarget() : formatsTarget();
  if (!(await runCases(target, options))) process.exitCode = 1;
}

await main();
