// Log lines that a client can cause at will: logs the first one of a kind, then one line an interval with the
// count.

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
    this.#lines = new Repeats(REPEATED_LINES, (report) => this.#report(report), now);
  }

  /** @param kind lines of one kind share a count: the reason, or the reason and the peer */
  log(kind: string, level: LogLevel, message: string, fields: LogFields = {}): void {
    this.#lines.note(kind, { level, message, fields });
  }

  /** Logs the counts that are due; at the end, all of them. */
  sweep(all = false): void {
    this.#lines.sweep(all);
  }

  #report({ subject: { level, message, fields }, count, mixed }: RepeatReport<Line>): void {
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
