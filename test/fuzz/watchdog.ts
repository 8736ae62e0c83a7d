// Ends the process if a case never releases the main thread, and prints the case; the main thread itself could not.
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { setInterval } from 'node:timers';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

const CHECK_MS = 1000;
/** Checks that must find the same case: together they take longer than a case may take. */
const PATIENCE = 30;

interface Watched {
  /** The number of the case that is running. */
  readonly now: Int32Array;
  /** The text before its number. */
  readonly message: string;
}

export class Watchdog {
  readonly #now = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;

  private constructor(message: string) {
    const watched: Watched = { now: this.#now, message };
    this.#worker = new Worker(new URL(import.meta.url), { workerData: watched });
  }

  /** @param message the command that repeats the case, up to its number */
  static async start(message: string): Promise<Watchdog> {
    const watchdog = new Watchdog(message);
    await once(watchdog.#worker, 'message');
    watchdog.#worker.unref();
    return watchdog;
  }

  begins(number: number): void {
    Atomics.store(this.#now, 0, number);
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}

function watch({ now, message }: Watched): void {
  let last = -1;
  let same = 0;
  setInterval(() => {
    const number = Atomics.load(now, 0);
    same = number === last ? same + 1 : 0;
    last = number;
    if (same < PATIENCE) return;
    // Output of a worker goes through the main thread, which is stuck.
    writeSync(1, `FAILED: a case never ends\n${message}${number}\n`);
    process.kill(process.pid, 'SIGKILL');
  }, CHECK_MS);
  parentPort?.postMessage('watching');
}

if (!isMainThread) watch(workerData as Watched);
