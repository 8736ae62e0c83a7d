// A process that runs test files one after another, with a time limit for each. shared-main.ts is its program.
import { randomUUID } from 'node:crypto';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { SHARED_TAP } from './tap-bundle.js';
import { killGroup, startNode, type Outcome, type Surroundings } from './test-process.js';

const OUT = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = fileURLToPath(new URL('./shared-main.js', import.meta.url));

/** The last line of a file's output. */
interface End {
  readonly isGood: boolean;
  readonly problems: readonly string[];
  readonly cpuMs: number;
}

/** The output of one stream up to the mark. */
class MarkedOutput {
  readonly #mark;
  #text = '';

  constructor(mark: string) {
    this.#mark = mark;
  }

  add(chunk: Buffer | string): void {
    this.#text += chunk.toString('utf8');
  }

  /** @returns what is in front of the line with the mark, and the rest of that line; null if it is not complete */
  split(): readonly [string, string] | null {
    const at = this.#text.indexOf(this.#mark);
    const end = this.#text.indexOf('\n', at);
    if (at < 0 || end < 0) return null;
    return [this.#text.slice(0, at), this.#text.slice(at + this.#mark.length, end)];
  }

  /** @returns all */
  take(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }
}

export class SharedProcess {
  /** Those that ran, in their order. */
  readonly files: string[] = [];
  readonly #timeoutMs;
  readonly #child;
  readonly #closed: Promise<number | null>;
  readonly #output: MarkedOutput;
  readonly #errors: MarkedOutput;
  #isClosed = false;
  #seen = (): void => undefined;

  /** @param timeoutMs that one file may take */
  constructor(timeoutMs: number, { folder, environment, bundledThreads }: Surroundings) {
    this.#timeoutMs = timeoutMs;
    const mark = `# end of file ${randomUUID()}`;
    this.#output = new MarkedOutput(mark);
    this.#errors = new MarkedOutput(mark);
    this.#child = startNode(
      [...SHARED_TAP, PROGRAM, mark, String(timeoutMs), bundledThreads ? OUT : ''],
      // tap's own root test, which has no tests, would fail when its time is over.
      {
        ...(folder === undefined ? {} : { folder }),
        environment: { ...environment, TAP_TIMEOUT: '0' },
      },
      ['pipe'],
    );
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#output.add(text);
      this.#seen();
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors.add(text);
      this.#seen();
    });
    this.#closed = new Promise((done, fail) => {
      this.#child.on('error', fail);
      this.#child.on('close', (code) => {
        this.#isClosed = true;
        this.#seen();
        done(code);
      });
    });
    // If it has ended, the file that was to be next is reported.
    this.#names.on('error', () => undefined);
  }

  get #names(): Writable {
    return this.#child.stdio[3] as Writable;
  }

  /** Runs one file. One that failed is the last: it may have left anything. */
  async run(file: string): Promise<Outcome> {
    const begin = performance.now();
    this.files.push(file);
    const ended = new Promise<void>((done) => {
      this.#seen = () => {
        if (this.#isClosed || (this.#output.split() && this.#errors.split())) done();
      };
      this.#seen();
    });
    this.#names.write(`${file}\n`);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      killGroup(this.#child);
    }, this.#timeoutMs);
    await ended;
    clearTimeout(timer);
    const outcome = this.#outcome();
    return { ...outcome, isLate, ms: performance.now() - begin };
  }

  /** Ends it: no file follows. */
  async end(): Promise<void> {
    if (this.#isClosed) return;
    const timer = setTimeout(() => killGroup(this.#child), this.#timeoutMs);
    this.#names.end();
    await this.#closed;
    clearTimeout(timer);
  }

  #outcome(): Pick<Outcome, 'code' | 'output' | 'cpuMs'> {
    const [output, errors] = [this.#output.split(), this.#errors.split()];
    if (!output || !errors) {
      const how = `the process has ended: ${this.#child.signalCode ?? `exit code ${this.#child.exitCode}`}`;
      return {
        code: 1,
        output: `${this.#output.take()}${this.#errors.take()}\n${how}\n`,
        cpuMs: 0,
      };
    }
    this.#output.take();
    this.#errors.take();
    const { isGood, problems, cpuMs } = JSON.parse(output[1]) as End;
    const lines = problems.map((problem) => `${problem}\n`).join('');
    return { code: isGood ? 0 : 1, output: `${output[0]}${errors[0]}${lines}`, cpuMs };
  }
}
