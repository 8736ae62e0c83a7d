// The program of a process that runs test files one after another (shared-process.ts starts it). It loads tap and the
// modules of the daemon once, which take longer than most files. Each file has a root test of its own, so its output
// is that of a file in its own process. It ends when the event loop is empty, as its own process would.
import { readSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Test } from 'tap';
import { cpuMsSoFar } from './cpu-time.js';
import { changesOf, stateOfProcess } from './process-state.js';
import { takeWrongStarts, watchStarts } from './starts.js';
import { ROOT } from './tap-bundle.js';

/** Names of files come from here, a line each. It is read without a handle in the event loop. */
const FILES_FD = 3;
const MAX_NAME_BYTES = 4096;
const MAX_HELD_CHARACTERS = 1 << 16;
/** Starts the line that ends a file's output. */
const [mark = '', timeout, out] = process.argv.splice(2);
const timeoutMs = Number(timeout);
if (out) (await import('./bundled-threads.js')).useBundledThreads(out);
watchStarts();
const folder = process.cwd();
// Tests replace these.
const { stdout, stderr } = process;
const write = stdout.write.bind(stdout);
/** Passed assertions that were not written yet: a write for each takes longer than the assertion. */
let passed = '';
const writeError = stderr.write.bind(stderr);

/** The file that runs. */
interface Running {
  readonly file: string;
  readonly root: Pick<Test, 'results' | 'endAll'>;
  readonly before: ReturnType<typeof stateOfProcess>;
  readonly cpuMsBefore: number;
  /** All of the module has been executed. */
  isLoaded: boolean;
}
let running: Running | undefined;

/** @returns the next line; empty at the end */
function nextName(): string {
  const line = Buffer.alloc(MAX_NAME_BYTES);
  for (let length = 0; length < line.length; length++) {
    const count = readSync(FILES_FD, line, length, 1, null);
    if (count === 0) return '';
    if (line[length] === 0x0a) return line.toString('utf8', 0, length);
  }
  throw new RangeError(`the name of a test file is longer than ${MAX_NAME_BYTES} bytes`);
}

function begin(file: string): void {
  // tap names the folders of tests by it.
  process.argv[1] = resolve(file);
  const load = async (): Promise<void> => {
    await import(pathToFileURL(resolve(file)).href);
    current.isLoaded = true;
  };
  const root = new Test({ name: 'TAP', timeout: timeoutMs, cb: load });
  const current: Running = {
    file,
    root,
    before: stateOfProcess(),
    cpuMsBefore: cpuMsSoFar(),
    isLoaded: false,
  };
  running = current;
  Object.assign(globalThis, { [Symbol.for(ROOT)]: root });
  root.on('complete', () => root.comment(root.counts.toJSON()));
  root.on('data', (text: Buffer | string) => writeTap(String(text)));
  root.runMain(() => undefined);
}

/** Names of tests, and all that is wrong, are written at once: they may be the last words of the process. */
function writeTap(text: string): void {
  passed += text;
  if (passed.length < MAX_HELD_CHARACTERS && /^ *ok /.test(text)) return;
  writePassed();
}

function writePassed(): void {
  if (passed !== '') write(passed);
  passed = '';
}

/** Ends the file: nothing of it can run any more. */
function finish({ file, root, before, cpuMsBefore, isLoaded }: Running): void {
  // As tap does at the end of a process: what has not ended has failed.
  if (!root.results) root.endAll();
  const problems = changesOf(before, stateOfProcess()).map((name) => `it has changed ${name}`);
  problems.push(...takeWrongStarts(file));
  if (!isLoaded && root.results?.ok === true) problems.push('it has ended before its last line');
  const isGood = root.results?.ok === true && problems.length === 0;
  running = undefined;
  writePassed();
  const line = JSON.stringify({ isGood, problems, cpuMs: cpuMsSoFar() - cpuMsBefore });
  write(`\n${mark} ${line}\n`, () => writeError(`\n${mark}\n`, next));
}

function next(): void {
  process.chdir(folder);
  const file = nextName();
  // In the loop: then it is alive until the file has begun.
  if (file !== '') setImmediate(begin, file);
}

process.on('exit', writePassed);
process.on('beforeExit', () => {
  if (running) finish(running);
});
next();
