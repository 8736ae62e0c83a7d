// A logger that takes lines before its implementation is loaded: winston takes a tenth of the time
// from exec to the first served read, and nothing waits for it this way.

import type { LogFields, LogLevel, Logger } from './logger.js';

export class DeferredLogger implements Logger {
  /** Resolves once every line so far is written. */
  readonly loaded: Promise<void>;
  #target: Logger | null = null;
  readonly #early: [LogLevel, string, LogFields | undefined][] = [];

  constructor(load: () => Promise<Logger>) {
    this.loaded = this.#load(load);
  }

  log(level: LogLevel, message: string, fields?: LogFields): void {
    if (this.#target) this.#target.log(level, message, fields);
    else this.#early.push([level, message, fields]);
  }

  async #load(load: () => Promise<Logger>): Promise<void> {
    const target = await load();
    this.#target = target;
    for (const line of this.#early.splice(0)) target.log(...line);
  }
}
