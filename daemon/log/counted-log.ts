// Lines that strangers can cause as often as they like: the first of a kind is written, then the kind
// is counted, and written once an interval with its count.

import { Repeats, type Telling } from '../lib/repeats.js';
import { REPEATED_LINES } from './limits.js';
import type { LogFields, LogLevel, Logger } from './logger.js';

interface Line {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

export class CountedLog {
  readonly #log: Logger;
  readonly #lines: Repeats<Line>;

  constructor(log: Logger, now?: () => number) {
    this.#log = log;
    this.#lines = new Repeats(REPEATED_LINES, (each) => this.#tell(each), now);
  }

  /** @param kind what shares a count: the reason, maybe with whose fault it is */
  log(kind: string, level: LogLevel, message: string, fields: LogFields = {}): void {
    this.#lines.note(kind, { level, message, fields });
  }

  /** Writes the counts that are due; all of them at the end. */
  sweep(all = false): void {
    this.#lines.sweep(all);
  }

  #tell({ subject: { level, message, fields }, count, mixed }: Telling<Line>): void {
    if (count === 0) {
      this.#log.log(level, message, fields);
      return;
    }
    const what = mixed ? 'more lines of further kinds' : 'more times';
    this.#log.log(level, `${message} (${count} ${what} since the last such line)`, {
      ...fields,
      more: count,
    });
  }
}
