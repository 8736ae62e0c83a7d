// Runs cases of a target one after the other, until time is up or one fails, and tells how it went.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { FuzzOptions } from './options.js';
import { Watchdog } from './watchdog.js';
import { fallsTo, openDescriptors } from '../support/descriptors.js';

const MIB = 1 << 20;
/** Cases after which the process has its size. */
const WARM_CASES = 300;
const LOOK_EVERY = 50;
/** Bytes that it may grow afterwards. */
const MAX_GROWTH = 192 * MIB;
/** Memory outside the JavaScript heap that may be left at the end, on top of that at the beginning. */
const MAX_LEFT = 48 * MIB;

/** Something that can be fuzzed. */
export interface Target {
  /** @throws whatever must not be */
  play(seed: number, number: number): Promise<void>;
  /** How often what has been seen. */
  readonly seen: ReadonlyMap<string, number>;
  /** What went wrong where nobody catches it: the run puts it here, and the case finds it. */
  readonly failures: string[];
  /** After the last case. */
  end(): void;
}

/** @returns whether all went well */
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
    // By now everything is loaded.
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

/** @returns null when there is none */
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

/** Bytes outside of the JavaScript heap that are in use, garbage not counted. */
function settledMemory(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().arrayBuffers;
}

function toMib(bytes: number): string {
  return (bytes / MIB).toFixed(0);
}
