// A test file in its own process, with a time limit.
import { spawn, type ChildProcess } from 'node:child_process';
import { ONE_MODULE } from './tap-bundle.js';

export interface Outcome {
  readonly code: number | null;
  readonly output: string;
  readonly ms: number;
  readonly isLate: boolean;
}

interface Surroundings {
  /** Its working directory; the current one if not given. */
  readonly folder?: string;
  /** In addition to the environment of this process. */
  readonly environment?: Readonly<Record<string, string>>;
}

const running = new Set<ChildProcess>();

/** Kills the test file and the daemons that it started. */
function killGroup(child: ChildProcess): void {
  if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
}

/** After a signal no test file keeps running. */
export function killAllOnSignal(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      for (const child of running) killGroup(child);
      process.kill(process.pid, signal);
    });
}

/** Runs one file with the Node.js that runs this. After the time limit, the file's whole process group is killed. */
export function runTestFile(
  file: string,
  timeoutMs: number,
  { folder = '.', environment = {} }: Surroundings = {},
): Promise<Outcome> {
  const begin = performance.now();
  const child = spawn(process.execPath, [...ONE_MODULE, file], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    // The limit of each test in the file, which is otherwise 30 s.
    env: { ...process.env, TAP_TIMEOUT: String(timeoutMs / 1000), ...environment },
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    killGroup(child);
  }, timeoutMs);
  running.add(child);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      running.delete(child);
      const output = Buffer.concat(chunks).toString('utf8');
      resolve({ code, output, ms: performance.now() - begin, isLate });
    });
  });
}
