// Runs the cases of a target one after the other, until the time is up or one fails, and prints the result.
import type { FuzzOptions } from './options.js';
import { Watchdog } from './watchdog.js';
import { fallsTo, openDescriptors } from '../support/descriptors.js';
import { settledMemory } from '../support/settled-memory.js';

const MIB = 1 << 20;
/** Cases after which the process no longer grows. */
const WARM_CASES = 300;
const LOOK_EVERY = 50;
/** Bytes that it may grow afterwards. */
const MAX_GROWTH = 192 * MIB;
/** Bytes outside the JavaScript heap that may be in use at the end, in addition to those at the beginning. */
const MAX_LEFT = 48 * MIB;

/** Something that can be fuzzed. */
export interface Target {
  /** @throws any error that must not happen */
  play(seed: number, number: number): Promise<void>;
  /** The counts of everything that was seen. */
  readonly seen: ReadonlyMap<string, number>;
  /** Errors that no caller can catch: the run stores them here, and the case finds them. */
  readonly failures: string[];
  /** After the last case. */
  end(): void;
}

/** @returns whether all cases passed */
export async function runCases(target: Target, options: FuzzOptions): Promise<boolean> {
  const unexpected = (error: unknown): void => {
    target.failures.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  };
  process.on('uncaughtException', unexpected);
  process.on('unhandledRejection', unexpected);
  const watchdog = await Watchdog.start(againCommand(options));
  try {
    return await runWatched(target, options, watchdog);
  } finally {
    target.end();
    await watchdog.end();
    process.off('uncaughtException', unexpected);
    process.off('unhandledRejection', unexpected);
  }
}

async function runWatched(
  target: Target,
  options: FuzzOptions,
  watchdog: Watchdog,
): Promise<boolean> {
  let descriptors = Infinity;
  const left = settledMemory();
  const begin = performance.now();
  const isWanted = (done: number): boolean =>
    options.cases === null
      ? performance.now() - begin < options.seconds * 1000
      : done < options.cases;
  let warm = 0;
  let done = 0;
  let slowest = 0;
  for (; isWanted(done); done++) {
    const number = options.from + done;
    watchdog.begins(number);
    const start = performance.now();
    const problem =
      (await problemOf(target, options.seed, number)) ??
      (done % LOOK_EVERY === 0 ? growth() : null);
    slowest = Math.max(slowest, performance.now() - start);
    // By now every module is loaded.
    if (done === 0) descriptors = openDescriptors();
    if (problem !== null) {
      report(problem, options, number);
      return false;
    }
  }
  const time = (performance.now() - begin) / 1000;
  summarize(target, options, done, time);
  console.log(`the slowest case took ${slowest.toFixed(0)} ms`);
  await fallsTo(descriptors);
  const leaked = openDescriptors() - descriptors;
  const more = settledMemory() - left;
  if (leaked > 0) console.log(`FAILED: ${leaked} descriptors are left open`);
  if (more > MAX_LEFT) console.log(`FAILED: ${toMib(more)} MiB are left outside the heap`);
  return leaked <= 0 && more <= MAX_LEFT;

  function growth(): string | null {
    const rss = process.memoryUsage.rss();
    if (done === WARM_CASES) warm = rss;
    const grown = rss - warm;
    return warm > 0 && grown > MAX_GROWTH ? `the process grew by ${toMib(grown)} MiB` : null;
  }
}

/** @returns null if there is none */
async function problemOf(target: Target, seed: number, number: number): Promise<string | null> {
  try {
    await target.play(seed, number);
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  const [failure] = target.failures;
  return failure ?? null;
}

function report(problem: string, options: FuzzOptions, number: number): void {
  const { target, seed } = options;
  console.log(`FAILED: target ${target}, seed ${seed}, case ${number}: ${problem}`);
  console.log(`${againCommand(options)}${number}`);
}

/** Without the number of the case. */
function againCommand({ target, seed }: FuzzOptions): string {
  const which = target === 'nbd' ? '' : `--target ${target} `;
  return `again: npm run fuzz -- ${which}--seed ${seed} --case `;
}

function summarize(target: Target, { seed, from }: FuzzOptions, done: number, time: number): void {
  const names = [...target.seen.keys()].toSorted();
  for (const name of names) console.log(`  ${String(target.seen.get(name)).padStart(8)}  ${name}`);
  const rss = toMib(process.memoryUsage.rss());
  const rate = (done / time).toFixed(0);
  console.log(
    `${done} cases from ${from} of seed ${seed} in ${time.toFixed(1)} s (${rate}/s), ` +
      `${names.length} kinds of things seen, ${rss} MiB resident`,
  );
}

function toMib(bytes: number): string {
  return (bytes / MIB).toFixed(0);
}
