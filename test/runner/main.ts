// Runs compiled test files, several at the same time: like `tap run` without tap's loaders, which take longer
// than most test files. Unit tests share processes (groups.ts). `npm run test:unit` uses it.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isBundleCurrent } from './bundled-threads.js';
import { groupsOf } from './groups.js';
import { beginCoverage, reportCoverage } from './coverage.js';
import { parseOptions, USAGE, type RunnerOptions } from './options.js';
import { bundleTap } from './tap-bundle.js';
import { cpuTable } from './cpu-time.js';
import { countsOf, failuresOf, noCounts, skipsOf, summary, type Counts } from './tap-output.js';
import { ownProcesses } from './own-process.js';
import { killAllOnSignal, type Outcome } from './test-process.js';
import { Turns } from './turns.js';

/** Lines of one failing test file that are printed. */
const MAX_LINES = 120;
/** The folder of all that is compiled. */
const OUT = fileURLToPath(new URL('../..', import.meta.url));
const ROOT = resolve(OUT, '..');
/** How many ms each file took the last time: the slowest ones start first. */
const TIMES_FILE = 'out/test-times.json';
/** All of the output of each file that failed, as it was the last time. */
const FAILURES_FOLDER = 'out/test-failures';
/** tap makes the folders of tests below it. */
const TAP_FOLDER = '.tap';

/** @throws Error if there is no such file, or if a folder has none: what was to be tested has moved */
function testFilesIn(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => join(path, name))
    .toSorted();
  if (files.length === 0) throw new Error(`${path}: no test files`);
  return files;
}

/** Prints why a file failed, and what it skipped. @returns its counts; a failed file has at least one failure */
function report(file: string, outcome: Outcome, timeoutMs: number): Counts {
  const counts = countsOf(outcome.output);
  for (const reason of skipsOf(outcome.output)) console.log(`${file}: SKIPPED: ${reason}`);
  if (outcome.code === 0 && counts !== null && counts.total > 0) return counts;
  const why = outcome.isLate
    ? `killed after ${timeoutMs / 1000} s`
    : counts?.total === 0
      ? 'has no tests'
      : 'failed';
  console.log(`${file}: ${why}`);
  const lines = failuresOf(outcome.output);
  for (const line of lines.slice(0, MAX_LINES)) console.log(`  ${line}`);
  if (lines.length > MAX_LINES) console.log(`  ... ${lines.length - MAX_LINES} lines more`);
  const known = counts ?? noCounts();
  return known.fail > 0 ? known : { ...known, total: known.total + 1, fail: 1 };
}

/** @returns the path of a file that has all of the output of a test file */
function keep(file: string, { output }: Outcome): string {
  mkdirSync(FAILURES_FOLDER, { recursive: true });
  const path = join(FAILURES_FOLDER, `${file.replaceAll('/', '+')}.tap`);
  writeFileSync(path, output);
  return path;
}

function lastTimes(): Record<string, number> {
  try {
    return JSON.parse(readFileSync(TIMES_FILE, 'utf8')) as Record<string, number>;
  } catch {
    return {};
  }
}

/** tap names the folder of a test by its file: a run beside this one, of the same file, must not remove it. */
function ownFolder(): string {
  mkdirSync(TAP_FOLDER, { recursive: true });
  const folder = resolve(mkdtempSync(join(TAP_FOLDER, 'run-')));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function runAll({
  paths,
  jobs,
  timeoutMs,
  alone,
  cpu,
  coverage,
}: RunnerOptions): Promise<boolean> {
  const begin = performance.now();
  const files = [...new Set(paths.flatMap(testFilesIn))];
  await bundleTap(OUT);
  const times = lastTimes();
  const measuring = coverage ? beginCoverage(ROOT, files) : {};
  const surroundings = {
    environment: { TAP_CWD: ownFolder(), ...measuring },
    countsCpu: cpu,
    // What a bundle runs is no coverage of modules.
    bundledThreads: !coverage && isBundleCurrent(OUT),
  };
  const cpuMs = new Map<string, number>();
  const isAlone = alone ? () => true : ownProcesses(OUT);
  const timeOf = (group: readonly string[]): number =>
    group.reduce((sumMs, file) => sumMs + (times[file] ?? Infinity), 0);
  const queue = groupsOf(files, isAlone).toSorted((a, b) => timeOf(b) - timeOf(a) || 0);
  const sum = noCounts();
  /** Lines that name the files that failed. */
  const failed: string[] = [];
  const runGroup = async (group: readonly string[]): Promise<void> => {
    const turns = new Turns(isAlone, timeoutMs, surroundings);
    for (const file of group) {
      const outcome = await turns.run(file);
      times[file] = Math.round(outcome.ms);
      cpuMs.set(file, outcome.cpuMs);
      const counts = report(file, outcome, timeoutMs);
      if (counts.fail > 0)
        failed.push(`failed: ${file}; all of its output is in ${keep(file, outcome)}`);
      for (const name of Object.keys(sum) as (keyof Counts)[]) sum[name] += counts[name];
    }
    await turns.end();
  };
  const work = async (): Promise<void> => {
    for (let group = queue.shift(); group; group = queue.shift()) await runGroup(group);
  };
  await Promise.all(Array.from({ length: jobs }, work));
  writeFileSync(TIMES_FILE, JSON.stringify(times));
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  console.log(
    `Node.js ${process.version}: ${files.length} files, ${failed.length} failed, in ${seconds} s with ${jobs} at the same time`,
  );
  if (cpu) console.log(cpuTable(cpuMs).join('\n'));
  for (const line of failed) console.log(line);
  console.log(summary(sum));
  const isCovered = !coverage || reportCoverage(ROOT);
  if (!isCovered && failed.length === 0) console.log('ERROR: incomplete coverage');
  return files.length > 0 && failed.length === 0 && isCovered;
}

killAllOnSignal();
let options: RunnerOptions | undefined;
try {
  options = parseOptions(process.argv.slice(2));
} catch (error) {
  console.error(`${(error as Error).message}\n\n${USAGE}`);
  process.exit(2);
}
if (options === undefined) console.log(USAGE);
else process.exitCode = (await runAll(options)) ? 0 : 1;
