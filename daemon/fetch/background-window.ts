// How many background transfers (read-ahead, traces, fill) one registry may have. Additive increase, multiplicative
// decrease: the latency of reads on demand decides. Uses no clock: callers give the times.

import { BACKGROUND_TRANSFERS } from './limits.js';

/** Larger transfers take long by themselves. */
const MOST_CHUNKS = 4;
/** Times the usual, and milliseconds on top of that: a read is slow. */
const SLOW_FACTOR = 2;
const SLOW_MS = 10;
/** What the usual grows by with each read, so that a registry that has become slower is the usual after some tens. */
const FORGET = 1.05;

export class BackgroundWindow {
  #size = BACKGROUND_TRANSFERS;
  /** Milliseconds of a read on demand when little else is fetched. */
  #usualMs = Infinity;
  /** Transfers that began before do not know the last decrease. */
  #decreasedAt = -Infinity;

  /** At least 1. */
  get size(): number {
    return Math.floor(this.#size);
  }

  /**
   * A read on demand was fetched.
   * @param begin and `end` are times of the same clock, in milliseconds
   * @param background how many background transfers ran when it ended
   */
  demandEnded(chunks: number, begin: number, end: number, background: number): void {
    if (chunks > MOST_CHUNKS) return;
    const took = end - begin;
    const isSlow = took > SLOW_FACTOR * this.#usualMs + SLOW_MS;
    this.#usualMs = Math.min(took, this.#usualMs * FORGET);
    if (isSlow && background > 0) this.#decrease(begin, end);
  }

  /** A background transfer ended. @param isFull whether as many ran as may run */
  backgroundEnded(hasFailed: boolean, isFull: boolean, begin: number, end: number): void {
    if (hasFailed) this.#decrease(begin, end);
    else if (isFull) this.#size = Math.min(this.#size + 1 / this.#size, BACKGROUND_TRANSFERS);
  }

  /** Once for all that ran at the same time. */
  #decrease(begin: number, end: number): void {
    if (begin < this.#decreasedAt) return;
    this.#decreasedAt = end;
    this.#size = Math.max(this.#size / 2, 1);
  }
}
