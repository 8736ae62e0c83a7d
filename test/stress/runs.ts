// Many runs of the program, several at a time: how each ended, and whether it ended correctly.
import { spawn, type ChildProcess } from 'node:child_process';
import { commandLine } from '../support/daemon-process.js';

/** Output of a process that crashed: from C++, V8, Node.js and bugs of the program. */
const CRASH =
  /terminate called|FATAL ERROR|Check failed|Assertion|Segmentation|core dumped|thread died|BUG|^\s+at /m;
/** Longer than any of these runs takes on the slowest machine. */
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

/** The result of one run: what was wrong with it, or how it ended, for the counts. */
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

/** Runs `one` for each number from 0 to count - 1, several at a time. */
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
