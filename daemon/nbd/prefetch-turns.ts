// Turns for reading ahead: on a thread one piece of an export at a time, for all its connections, so that
// a sick disk does not hold up other exports. All exports together read no more bytes in a second than a
// fast disk gives.

import { setTimeout as pause } from 'node:timers/promises';
import { PREFETCH_BYTES_PER_MS } from './limits.js';
import { monotonicMs } from '../lib/clock.js';

/** Milliseconds of unused budget that may accumulate, so that short pieces need no timer. */
const SAVED_MS = 10;

/** @internal for its unit test */
export class PrefetchTurns {
  readonly #bytesPerMs: number;
  /** By export, the waiters for a turn that is taken. */
  readonly #waiting = new Map<string, (() => void)[]>();
  /** When the rate has caught up with the bytes read ahead so far, of monotonicMs. */
  #paid = 0;

  constructor(bytesPerMs = PREFETCH_BYTES_PER_MS) {
    this.#bytesPerMs = bytesPerMs;
  }

  /**
   * Waits for a turn, first come first served. {@link pass} ends the turn.
   * @param name the export
   */
  async take(name: string): Promise<void> {
    const waiting = this.#waiting.get(name);
    if (waiting) await new Promise<void>((resolve) => waiting.push(resolve));
    else this.#waiting.set(name, []);
    const early = this.#paid - monotonicMs() - SAVED_MS;
    if (early > 0) await pause(early);
  }

  /** @param bytes that were read ahead in this turn */
  pass(name: string, bytes: number): void {
    this.#paid = Math.max(this.#paid, monotonicMs()) + bytes / this.#bytesPerMs;
    const next = this.#waiting.get(name)?.shift();
    if (next) next();
    else this.#waiting.delete(name);
  }
}

/** The turns of this thread. */
export const prefetchTurns = new PrefetchTurns();
