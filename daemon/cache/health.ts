// Whether the files of the cache can be written. A disk that fails is tried again after a while, by one write.

import { monotonicMs } from '../lib/clock.js';
import type { Logger } from '../log/logger.js';

/** Between two tries of a disk that failed. */
const RETRY_MS = 30_000;
const LINE_MS = 60_000;

export class Health {
  writeErrors = 0;
  readonly #log: Logger;
  readonly #now: () => number;
  #reason: string | null = null;
  #retryAt = 0;
  #lineAt = Number.NEGATIVE_INFINITY;
  #unlogged = 0;

  constructor(log: Logger, now: () => number = monotonicMs) {
    this.#log = log;
    this.#now = now;
  }

  /** Why chunks are kept in memory only; null: they are kept in files. */
  get reason(): string | null {
    return this.#reason;
  }

  /** Whether the disk did not even answer. */
  get isStuck(): boolean {
    return this.#reason?.includes('ETIMEDOUT') ?? false;
  }

  /** @param reason with the path or the operation, and the error */
  failed(reason: string): void {
    const now = this.#now();
    this.writeErrors++;
    this.#reason = reason;
    this.#retryAt = now + RETRY_MS;
    this.#say(reason, now);
  }

  /** There is no room for more. */
  isFull(reason: string): void {
    this.#say(reason, this.#now());
  }

  /** Whether a write may be tried. After a failure this is true once in a while. */
  mayTry(): boolean {
    if (this.#reason === null) return true;
    const now = this.#now();
    if (now < this.#retryAt) return false;
    this.#retryAt = now + RETRY_MS;
    return true;
  }

  worked(): void {
    if (this.#reason === null) return;
    this.#reason = null;
    this.#log.log('info', 'cache: files can be written again', { cache: 'ready' });
  }

  #say(reason: string, now: number): void {
    if (now - this.#lineAt < LINE_MS) {
      this.#unlogged++;
      return;
    }
    const more = this.#unlogged > 0 ? `; ${this.#unlogged} more since the last such line` : '';
    this.#lineAt = now;
    this.#unlogged = 0;
    this.#log.log(
      'warn',
      `cache: ${reason}; fetched chunks are kept in memory only, and reads go on${more}`,
      { cache: 'degraded', reason },
    );
  }
}
