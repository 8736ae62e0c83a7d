// The files of a group, one after another: in a process that they share, or each in its own. A file that fails in a shared process runs once more in its own, to say whose fault it is; it has failed anyway.
import { SharedProcess } from './shared-process.js';
import { runTestFile, type Outcome, type Surroundings } from './test-process.js';

export class Turns {
  readonly #isAlone;
  readonly #timeoutMs;
  readonly #surroundings;
  #shared: SharedProcess | undefined;

  constructor(isAlone: (file: string) => boolean, timeoutMs: number, surroundings: Surroundings) {
    this.#isAlone = isAlone;
    this.#timeoutMs = timeoutMs;
    this.#surroundings = surroundings;
  }

  async run(file: string): Promise<Outcome> {
    if (this.#isAlone(file)) return runTestFile(file, this.#timeoutMs, this.#surroundings);
    this.#shared ??= new SharedProcess(this.#timeoutMs, this.#surroundings);
    const { files } = this.#shared;
    const outcome = await this.#shared.run(file);
    const isGood = outcome.code === 0;
    if (!isGood) await this.end();
    if (isGood || outcome.isLate) return outcome;
    const alone = await runTestFile(file, this.#timeoutMs, this.#surroundings);
    const verdict =
      alone.code === 0
        ? `FAILURE OF ISOLATION: it passes in a process of its own. In this process ran before it: ${files.slice(0, -1).join(' ') || 'nothing'}`
        : 'it fails in a process of its own, too';
    return { ...outcome, output: `${verdict}\n${outcome.output}` };
  }

  async end(): Promise<void> {
    await this.#shared?.end();
    this.#shared = undefined;
  }
}
