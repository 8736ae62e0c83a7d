// Lines that strangers can cause as often as they like: the first of a kind is written, then the kind
// is counted, and written once an interval with its count.

import { counted } from '../lib/counted.js';
import { Repeats, type RepeatReport } from '../lib/repeats.js';
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

  #tell({ subject: { level, message, fields }, count, mixed }: RepeatReport<Line>): void {
    if (count === 0) {
      this.#log.log(level, message, fields);
      return;
    }
    const more = mixed
      ? `${counted(count, 'more line')} of further kinds`
      : counted(count, 'more time');
    this.#log.log(level, `${message} (${more} since the last such line)`, {
      ...fields,
      more: count,
    });
  }
}
