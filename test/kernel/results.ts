// Adds up what runs of checks.ts report, in machines or here, as one TAP stream.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Boots a machine; its head describes its options. */
export const VM_RUN = fileURLToPath(new URL('../../../test/kernel/vm-run', import.meta.url));

export class Results {
  readonly #counts = { pass: 0, fail: 0, skip: 0 };
  readonly #begin = performance.now();

  constructor() {
    console.log('TAP version 13');
  }

  get failed(): number {
    return this.#counts.fail;
  }

  add(good: boolean, what: string): void {
    if (!good) this.#counts.fail++;
    else if (what.includes('# SKIP')) this.#counts.skip++;
    else this.#counts.pass++;
    console.log(`${good ? 'ok' : 'not ok'} ${this.#total} - ${what}`);
  }

  /**
   * Runs a program that reports checks, and adds them.
   * @returns its exit code
   * @throws Error if a signal ends this process: nothing more is to be run
   */
  async run(line: readonly string[], env = process.env): Promise<number> {
    const [program = '', ...args] = line;
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
    let isEnded = false;
    const end = (): void => {
      isEnded = true;
      child.kill();
    };
    process.once('SIGTERM', end).once('SIGINT', end);
    child.once('close', () => process.off('SIGTERM', end).off('SIGINT', end));
    createInterface(child.stdout).on('line', (text) => {
      const [, verdict, what] = /^(ok|not ok) \d+ - (.*)$/.exec(text) ?? [];
      if (verdict !== undefined && what !== undefined) this.add(verdict === 'ok', what);
      else if (!/^(TAP version|1\.\.\d|# (time=|\{))/.test(text)) console.log(text);
    });
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => {
        if (isEnded) reject(new Error('ended by a signal'));
        else resolve(code ?? 1);
      });
    });
  }

  /** The last line has tap's form, which .ci/run adds up. @returns the exit code */
  end(): number {
    const total = this.#total;
    const seconds = (performance.now() - this.#begin) / 1000;
    console.log(`1..${total}`);
    console.log(`# time=${seconds.toFixed(0)}s`);
    const all = Object.entries({ total, ...this.#counts }).filter(([, count]) => count > 0);
    console.log(`# { ${all.map(([name, count]) => `${name}: ${count}`).join(', ')} }`);
    return this.#counts.fail === 0 && total > 0 ? 0 : 1;
  }

  get #total(): number {
    return this.#counts.pass + this.#counts.fail + this.#counts.skip;
  }
}
