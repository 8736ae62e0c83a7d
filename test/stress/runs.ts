// One run of the program after another, some at a time: how each ended, and whether it ended well.
import { spawn, type ChildProcess } from 'node:child_process';
import { commandLine } from '../support/daemon-process.js';

/** What a process that crashed has said: C++, V8, Node and our own bugs. */
const CRASH =
  /terminate called|FATAL ERROR|Check failed|Assertion|Segmentation|core dumped|thread died|BUG|^\s+at /m;
/** Nothing that these runs do takes so long, on the slowest machine. */
const TIMEOUT_MS = 20_000;

export interface RunEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

export class Run {
  readonly child: ChildProcess;
  readonly ended: Promise<RunEnd>;

  constructor(args: readonly string[]) {
    const [program, ...rest] = commandLine(args);
    this.child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    this.child.stderr?.on('data', (part: Buffer) => (stderr += part.toString()));
    const timer = setTimeout(() => this.child.kill('SIGABRT'), TIMEOUT_MS);
    this.ended = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('close', (code, signal) => {
        clearTimeout(timer);
        resolve({ code, signal, stderr });
      });
    });
  }
}

export function crashed({ stderr }: RunEnd): boolean {
  return CRASH.test(stderr);
}

/** How one run went: what is wrong with it, or how it ended, to count. */
export interface Verdict {
  readonly wrong: string | null;
  readonly kind: string;
}

export function wrong(what: string, { code, signal, stderr }: RunEnd): Verdict {
  return { wrong: `${what}: exit code ${code}, signal ${signal}\n${stderr}`, kind: 'wrong' };
}

export interface Tally {
  readonly kinds: ReadonlyMap<string, number>;
  readonly wrongs: readonly string[];
}

/** Runs `one` for each of 0 to count - 1, some at a time. */
export async function repeat(
  count: number,
  atOnce: number,
  one: (number: number) => Promise<Verdict>,
): Promise<Tally> {
  const kinds = new Map<string, number>();
  const wrongs: string[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const number = next++;
      const { wrong: what, kind } = await one(number);
      if (what !== null) wrongs.push(`run ${number}: ${what}`);
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, lane));
  return { kinds, wrongs };
}
