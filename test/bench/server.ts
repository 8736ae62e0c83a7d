// One server process: started, waited for, checked, stopped. It measures nothing.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { atExit, notAtExit } from './at-exit.js';
import { NbdClient } from './nbd-client.js';

/** A machine that is busy with other work may take long. */
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 5_000;
const POLL_INTERVAL_MS = 1;
/** Most output of a server that is kept for its error message. */
const OUTPUT_KEPT = 4096;
const BLOCK = 4096;
const CHECKED_BLOCKS = 512;

/** What is started: a case of the comparison, or another program. */
export interface Served {
  readonly name: string;
  /** Program and arguments that serve `files` at the Unix socket until killed. */
  readonly command: (files: readonly string[], socket: string) => readonly [string, ...string[]];
}

export class Server<T extends Served = Served> {
  readonly case: T;
  readonly socket: string;
  readonly #process: ChildProcess;
  #output = '';
  #ended: string | undefined;

  /** Starts the program; `connect` waits until it is ready. */
  constructor(served: T, files: readonly string[], socket: string, environment = process.env) {
    this.case = served;
    this.socket = socket;
    const [program, ...args] = served.command(files, socket);
    this.#process = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment,
    });
    const keep = (text: Buffer): void => {
      this.#output = `${this.#output}${text.toString()}`.slice(-OUTPUT_KEPT);
    };
    this.#process.stdout?.on('data', keep);
    this.#process.stderr?.on('data', keep);
    this.#process.on('error', (error) => (this.#ended ??= error.message));
    this.#process.on('exit', (code, signal) => (this.#ended ??= signal ?? `exit ${code}`));
    atExit(this.#kill);
  }

  get pid(): number {
    const { pid } = this.#process;
    if (pid === undefined) throw this.failure('not started');
    return pid;
  }

  /** The first connection that succeeds. @throws Error if the server ends or takes too long */
  async connect(timeoutMs = START_TIMEOUT_MS): Promise<NbdClient> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      try {
        return await NbdClient.open(this.socket);
      } catch (error) {
        if (this.#ended !== undefined) throw this.failure('ended at its start');
        if (performance.now() > deadline) throw this.failure(`not ready: ${String(error)}`);
        await sleep(POLL_INTERVAL_MS);
      }
    }
  }

  /**
   * Compares blocks all over the export with the raw image: a wrong answer may well be a fast one.
   * @throws Error at the first difference
   */
  async check(rawImage: string, size: number): Promise<void> {
    const client = await this.connect();
    const fd = openSync(rawImage, 'r');
    try {
      if (client.size !== size) throw this.failure(`${client.size} bytes, expected ${size}`);
      const expected = Buffer.alloc(BLOCK);
      const blocks = size / BLOCK;
      for (let i = 0; i < CHECKED_BLOCKS; i++) {
        const offset = Math.floor((i / (CHECKED_BLOCKS - 1)) * (blocks - 1)) * BLOCK;
        readSync(fd, expected, 0, BLOCK, offset);
        const got = await client.read(offset, BLOCK);
        if (!got.equals(expected)) throw this.failure(`wrong data at ${offset}`);
      }
    } finally {
      closeSync(fd);
      client.close();
    }
  }

  /** @throws Error if it has ended earlier */
  async stop(): Promise<void> {
    notAtExit(this.#kill);
    if (this.#ended !== undefined) throw this.failure('ended too early');
    const exit = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    const force = setTimeout(this.#kill, STOP_TIMEOUT_MS);
    await exit;
    clearTimeout(force);
  }

  /** An error with the output of the server. */
  failure(what: string): Error {
    const ended = this.#ended === undefined ? '' : ` (${this.#ended})`;
    return new Error(`${this.case.name}: ${what}${ended}; it said:\n${this.#output.trim()}`);
  }

  readonly #kill = (): void => {
    this.#process.kill('SIGKILL');
  };
}
