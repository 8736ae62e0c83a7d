// Bounds bytes a second: a caller that takes more than there is waits for its turn.

import type { Clock } from './clock.js';

/** Bytes that may be taken at once after a pause. */
const BURST_MS = 1000;

export class ByteRate {
  readonly #clock: Clock;
  readonly #bytesASecond: () => number;
  /** When the rate has caught up with the bytes that were taken. */
  #paidAt = -Infinity;

  /** @param bytesASecond asked each time; 0 is no limit */
  constructor(clock: Clock, bytesASecond: () => number) {
    this.#clock = clock;
    this.#bytesASecond = bytesASecond;
  }

  /** Resolves when the bytes may be fetched, or at once when it is aborted. */
  take(bytes: number, signal: AbortSignal): Promise<void> {
    const rate = this.#bytesASecond();
    if (rate === 0) return Promise.resolve();
    const now = this.#clock.now();
    const from = Math.max(this.#paidAt, now - BURST_MS);
    this.#paidAt = from + (bytes / rate) * 1000;
    return pauseOf(this.#clock, from - now, signal);
  }
}

/** Resolves after a time, or at once when it is aborted. */
export function pauseOf(clock: Clock, milliseconds: number, signal: AbortSignal): Promise<void> {
  if (milliseconds <= 0 || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.after(milliseconds, end);
    signal.addEventListener('abort', end);
  });
}
