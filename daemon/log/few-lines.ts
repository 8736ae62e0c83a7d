// Log lines of one kind, of which there may be any number: logs the first ones and counts the others.

import type { LogFields, Logger, LogLevel } from './logger.js';

const MOST_LINES = 10;

export class FewLines {
  readonly #log: Logger;
  readonly #level: LogLevel;
  readonly #subject: string;
  #count = 0;

  /** @param subject of the line with the number of the others */
  constructor(log: Logger, level: LogLevel, subject: string) {
    this.#log = log;
    this.#level = level;
    this.#subject = subject;
  }

  add(message: string, fields: LogFields = {}): void {
    if (++this.#count <= MOST_LINES) this.#log.log(this.#level, message, fields);
  }

  /** Call this when there are no more lines. */
  end(): void {
    const left = this.#count - MOST_LINES;
    if (left > 0) this.#log.log(this.#level, `${this.#subject}: ${left} more like these`);
  }
}
