// Keeps every core busy with a program that never sleeps, of the same priority as the servers.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** A burner ends by itself after this time, whatever happened to the benchmark. */
const MOST_SECONDS = 600;

export class Burners {
  readonly #processes: readonly ChildProcess[];

  private constructor(processes: readonly ChildProcess[]) {
    this.#processes = processes;
    process.once('exit', this.#kill);
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
    for (const each of burners.#processes) if (each.stdout) await once(each.stdout, 'data');
    return burners;
  }

  async stop(): Promise<void> {
    process.off('exit', this.#kill);
    const ends = this.#processes.map((each) => once(each, 'exit'));
    this.#kill();
    await Promise.all(ends);
  }

  readonly #kill = (): void => {
    for (const each of this.#processes) each.kill('SIGKILL');
  };
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
