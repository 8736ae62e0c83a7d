// A logger that keeps lines until winston is loaded. Loading winston takes a sixth of the time from exec to
// the first served read, so the daemon does that later.

import { counted } from '../lib/counted.js';
import { MAX_EARLY_LINES } from './limits.js';
import type { LogFields, LogLevel, LogWriter, Logger } from './logger.js';

/** If a start takes longer than this, an operator may be watching: show the lines. */
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
    // Drop the oldest line: the last ones say how the start went.
    this.#early.shift();
    this.#dropped++;
  }

  /** Writes lines from now on. Without this call, they are written after half a second. */
  async write(): Promise<void> {
    await this.#start();
  }

  /** For the end of the process: resolves when all lines are written, or after a time limit. */
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
    if (dropped > 0) {
      target.log('warn', `left out the first ${counted(dropped, 'line')} of the start`);
    }
    for (const line of this.#early.splice(0)) target.log(...line);
    return target;
  }
}
