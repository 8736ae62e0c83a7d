// A test file in its own process, with a time limit.
import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { cpuMsOfChildren } from './cpu-time.js';
import { isUnitTest } from './starts.js';
import { ONE_MODULE } from './tap-bundle.js';

export interface Outcome {
  readonly code: number | null;
  readonly output: string;
  readonly ms: number;
  readonly isLate: boolean;
  /** Of the file, its threads, and the processes that it waited for; 0 if it was not counted. */
  readonly cpuMs: number;
}

export interface Surroundings {
  /** Its working directory; the current one if not given. */
  readonly folder?: string;
  /** In addition to the environment of this process. */
  readonly environment?: Readonly<Record<string, string>>;
  /** CPU time of processes of one file is counted. Of those that files share it always is. */
  readonly countsCpu?: boolean;
  /** In processes that files share, the daemon's threads are those of its bundle. */
  readonly bundledThreads?: boolean;
}

const WATCH_STARTS = ['--import', new URL('./watch-starts.js', import.meta.url).href];

/** Writes CPU times to descriptor 3, which the command does not get. */
const TIMES = ['sh', '-c', '"$@" 3>&-; code=$?; times >&3; exit $code', 'sh'];

const running = new Set<ChildProcess>();

/** Kills the process of test files and the daemons that it started. */
export function killGroup(child: ChildProcess): void {
  if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
}

/**
 * Node.js 20 reads these certificates whenever it starts, which takes twice as long as the rest of its start. No test needs
 * them.
 */
const CERTIFICATES = 'NODE_EXTRA_CA_CERTS';

/** After a signal no test file keeps running. */
export function killAllOnSignal(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      for (const child of running) killGroup(child);
      process.kill(process.pid, signal);
    });
}

/**
 * Starts the Node.js that runs this, in a process group of its own. Its output is in pipes.
 * @param more of stdio, from descriptor 3 on
 * @param wrapper a command that runs the one that follows it
 */
export function startNode(
  parameters: readonly string[],
  { folder = '.', environment = {} }: Surroundings,
  more: readonly 'pipe'[] = [],
  wrapper: readonly string[] = [],
): ChildProcessByStdio<null, Readable, Readable> {
  const [command = '', ...rest] = [...wrapper, process.execPath, ...parameters];
  const child = spawn(command, rest, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe', ...more],
    detached: true,
    env: { ...process.env, [CERTIFICATES]: undefined, ...environment },
  }) as ChildProcessByStdio<null, Readable, Readable>;
  running.add(child);
  child.on('close', () => running.delete(child));
  return child;
}

/** Runs one file in its own process. After the time limit, the file's whole process group is killed. */
export function runTestFile(
  file: string,
  timeoutMs: number,
  { folder, environment, countsCpu = false }: Surroundings = {},
): Promise<Outcome> {
  const begin = performance.now();
  const child = startNode(
    [...ONE_MODULE, ...(isUnitTest(resolve(folder ?? '.', file)) ? WATCH_STARTS : []), file],
    {
      ...(folder === undefined ? {} : { folder }),
      // The limit of each test in the file, which is otherwise 30 s.
      environment: { TAP_TIMEOUT: String(timeoutMs / 1000), ...environment },
    },
    countsCpu ? ['pipe'] : [],
    countsCpu ? TIMES : [],
  );
  let times = '';
  child.stdio[3]?.on('data', (text: Buffer) => {
    times += text.toString('latin1');
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    killGroup(child);
  }, timeoutMs);
  return new Promise((done, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      const output = Buffer.concat(chunks).toString('utf8');
      done({
        code,
        output,
        ms: performance.now() - begin,
        isLate,
        cpuMs: cpuMsOfChildren(times),
      });
    });
  });
}
