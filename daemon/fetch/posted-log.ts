// The logger of the fetcher's thread: the main thread writes its lines. If that does not keep up, lines are
// dropped and counted.

import { counted } from '../lib/counted.js';
import type { LogFields, LogLevel, Logger } from '../log/logger.js';
import { MAX_POSTED_LINES } from './limits.js';
import type { FromFetcher } from './messages.js';

export class PostedLog implements Logger {
  readonly #tell: (message: FromFetcher) => void;
  #posted = 0;
  #dropped = 0;

  constructor(tell: (message: FromFetcher) => void) {
    this.#tell = tell;
  }

  log(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (this.#posted >= MAX_POSTED_LINES) {
      this.#dropped++;
      return;
    }
    this.#posted++;
    this.#tell({ type: 'line', level, message, fields });
  }

  /** The main thread has written a line. */
  taken(): void {
    this.#posted--;
    const dropped = this.#dropped;
    if (dropped === 0) return;
    this.#dropped = 0;
    this.log('warn', `the fetcher left out ${counted(dropped, 'line')}`, { dropped });
  }
}
