// Keeps every core busy with a program that never sleeps, of the same priority as the servers.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { atExit, notAtExit } from './at-exit.js';

/** A burner ends by itself after this time, whatever happened to the benchmark. */
const MOST_SECONDS = 600;

export class Burners {
  readonly #processes: readonly ChildProcess[];
  /** Resolve with the exit code or the signal of each. */
  readonly #ends: readonly Promise<string>[];

  private constructor(processes: readonly ChildProcess[]) {
    this.#processes = processes;
    this.#ends = processes.map(async (each) => {
      const [code, signal] = (await once(each, 'exit')) as [number | null, string | null];
      return signal ?? `exit ${code}`;
    });
    atExit(this.#kill);
  }

  /**
   * Starts one on each core that this process may use, and waits until all run.
   * @param program path of burner
   */
  static async start(program: string): Promise<Burners> {
    const burners = new Burners(
      allowedCores().map((core) =>
        spawn(program, [`${core}`, `${MOST_SECONDS}`], { stdio: ['ignore', 'pipe', 'inherit'] }),
      ),
    );
    const ended = Promise.race(burners.#ends).then((how) => {
      throw new Error(`${program}: ended (${how}) before it was busy`);
    });
    for (const { stdout } of burners.#processes) {
      if (stdout) await Promise.race([once(stdout, 'data'), ended]);
    }
    // What comes now is for `stop`.
    ended.catch(() => undefined);
    return burners;
  }

  /** @throws Error if one has ended by itself: what was measured meanwhile is not of a busy machine */
  async stop(): Promise<void> {
    notAtExit(this.#kill);
    const early = this.#processes.filter((each) => hasEnded(each)).length;
    this.#kill();
    await Promise.all(this.#ends);
    if (early > 0) throw new Error(`${early} of ${this.#ends.length} burners have ended too early`);
  }

  readonly #kill = (): void => {
    for (const each of this.#processes) each.kill('SIGKILL');
  };
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** By the kernel's numbers. */
function allowedCores(): number[] {
  const status = readFileSync('/proc/self/status', 'utf8');
  const [, list = '0'] = /^Cpus_allowed_list:\s+(\S+)$/m.exec(status) ?? [];
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}
