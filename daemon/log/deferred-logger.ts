// A logger that keeps lines until its implementation is loaded: loading winston takes a sixth of the
// time from exec to the first served read, so it comes after that.

import type { LogFields, LogLevel, LogWriter, Logger } from './logger.js';

/** What takes longer than this to start is watched by somebody. */
const PATIENCE_MS = 500;

export class DeferredLogger implements Logger {
  readonly #load: () => Promise<LogWriter>;
  readonly #patience: NodeJS.Timeout;
  #loading: Promise<void> | null = null;
  #target: LogWriter | null = null;
  readonly #early: [LogLevel, string, LogFields | undefined, Date][] = [];

  constructor(load: () => Promise<LogWriter>) {
    this.#load = load;
    this.#patience = setTimeout(() => void this.write(), PATIENCE_MS).unref();
  }

  log(level: LogLevel, message: string, fields?: LogFields): void {
    if (this.#target) this.#target.log(level, message, fields);
    else this.#early.push([level, message, fields, new Date()]);
  }

  /** From now on lines are written; without a call they are after half a second. */
  write(): Promise<void> {
    clearTimeout(this.#patience);
    return (this.#loading ??= this.#start());
  }

  async #start(): Promise<void> {
    const target = await this.#load();
    this.#target = target;
    for (const line of this.#early.splice(0)) target.log(...line);
  }
}
