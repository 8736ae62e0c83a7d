// The command line of the test runner: text to values.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

export const USAGE = `node out/test/runner/main.js [options] FILE-OR-FOLDER...

  --jobs N      how many test files run at the same time (default: one more than there are processors)
  --alone       each file runs in a process of its own
  --cpu         prints the files that took most CPU time
  --coverage    measures coverage, and fails if it is less than in package.json
  --timeout N   seconds that one test file may take (default 900)
`;

export interface RunnerOptions {
  /** Test files, and folders of test files. */
  readonly paths: readonly string[];
  readonly jobs: number;
  readonly timeoutMs: number;
  /** No two files share a process. */
  readonly alone: boolean;
  /** Prints the CPU time of files. */
  readonly cpu: boolean;
  readonly coverage: boolean;
}

/** @returns undefined if only the usage is wanted. @throws Error for anything it does not understand */
export function parseOptions(argv: string[]): RunnerOptions | undefined {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      // Test files wait for timers and threads for about a third of their time.
      jobs: { type: 'string', default: String(availableParallelism() + 1) },
      timeout: { type: 'string', default: '900' },
      alone: { type: 'boolean', default: false },
      cpu: { type: 'boolean', default: false },
      coverage: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  if (positionals.length === 0) throw new Error('no test file is given');
  return {
    paths: positionals,
    jobs: count('--jobs', values.jobs),
    timeoutMs: count('--timeout', values.timeout) * 1000,
    alone: values.alone,
    cpu: values.cpu,
    coverage: values.coverage,
  };
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`${name} ${text}: not a whole number from 1 on`);
  return value;
}
