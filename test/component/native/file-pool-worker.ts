// A process of file-pool.test.ts: the main thread opens a file, as a daemon does first of all, and then a thread
// with a low priority loads all of them, which needs more threads of the pool. Prints the nice value of each of
// these. Usage: node file-pool-worker.js PATH...
import { readFileSync, readdirSync } from 'node:fs';
import { setPriority } from 'node:os';
import { Worker, isMainThread } from 'node:worker_threads';
import { files } from '../../../daemon/native/file.js';

const NICENESS = 7;
const SIZE = 8 << 20;
/** Threads that must have been there; a pool that loads files one after the other would need one. */
const MIN_THREADS = 4;

const paths = process.argv.slice(2);
const waiting = new Map<number, (result: number) => void>();
let last = 0;
files.onJobEnd((job, result) => {
  const end = waiting.get(job);
  waiting.delete(job);
  end?.(result);
});

function run(start: (job: number) => number): Promise<number> {
  const job = ++last;
  start(job);
  return new Promise((resolve) => waiting.set(job, resolve));
}

const openAll = (some: readonly string[]): Promise<number[]> =>
  Promise.all(some.map((path) => run((job) => files.startOpen(job, path))));

function niceValues(): string[] {
  return readdirSync('/proc/self/task').flatMap((task) => {
    const stat = statOf(task);
    const end = stat.lastIndexOf(')');
    return stat.slice(stat.indexOf('('), end) === '(file'
      ? [stat.slice(end).split(' ')[17] ?? '']
      : [];
  });
}

/** A thread may end at any moment. */
function statOf(task: string): string {
  try {
    return readFileSync(`/proc/self/task/${task}/stat`, 'latin1');
  } catch {
    return '';
  }
}

if (isMainThread) {
  await openAll(paths.slice(0, 1));
  const slow = new Worker(new URL(import.meta.url), { argv: paths });
  slow.on('error', (error) => {
    throw error;
  });
} else {
  setPriority(NICENESS);
  const opened = await openAll(paths);
  let values = niceValues();
  // Files that are loaded before the next job begins need no further thread.
  while (values.length < MIN_THREADS) {
    await Promise.all(opened.map((fd) => run((job) => files.startLoad(job, fd, 0, SIZE))));
    values = niceValues();
  }
  console.log(values.join(' '));
  process.exit();
}
