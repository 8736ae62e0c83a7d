// A logger that keeps lines until its implementation is loaded: loading winston takes a sixth of the
// time from exec to the first served read, so it comes after that.

import { MAX_EARLY_LINES } from './limits.js';
import type { LogFields, LogLevel, LogWriter, Logger } from './logger.js';

/** What takes longer than this to start is watched by somebody. */
const PATIENCE_MS = 500;

export class DeferredLogger implements Logger {
  readonly #load: () => Promise<LogWriter>;
  readonly #patience: NodeJS.Timeout;
  #loading: Promise<LogWriter> | null = null;
  #target: LogWriter | null = null;
  readonly #early: [LogLevel, string, LogFields | undefined, Date][] = [];
  #dropped = 0;

  constructor(load: () => Promise<LogWriter>) {
    this.#load = load;
    this.#patience = setTimeout(() => void this.write(), PATIENCE_MS).unref();
  }

  log(level: LogLevel, message: string, fields?: LogFields): void {
    if (this.#target) {
      this.#target.log(level, message, fields);
      return;
    }
    this.#early.push([level, message, fields, new Date()]);
    if (this.#early.length <= MAX_EARLY_LINES) return;
    // The oldest: what a start comes to is in the last ones.
    this.#early.shift();
    this.#dropped++;
  }

  /** From now on lines are written; without a call they are after half a second. */
  async write(): Promise<void> {
    await this.#start();
  }

  /** At the end: resolves when all lines are out, or nobody takes them. */
  async flush(): Promise<void> {
    await (await this.#start()).flush();
  }

  #start(): Promise<LogWriter> {
    clearTimeout(this.#patience);
    return (this.#loading ??= this.#open());
  }

  async #open(): Promise<LogWriter> {
    const target = await this.#load();
    this.#target = target;
    const dropped = this.#dropped;
    if (dropped > 0) target.log('warn', `the first ${dropped} lines of the start were left out`);
    for (const line of this.#early.splice(0)) target.log(...line);
    return target;
  }
}
