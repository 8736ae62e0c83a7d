// Makes answers as slow as a network would: one rate for all that an origin sends.
import { setTimeout as pause } from 'node:timers/promises';

export class Pace {
  readonly #bytesPerSecond: number;
  /** When all that was taken so far has been sent, in milliseconds of performance.now(). */
  #free = 0;

  /** @param bytesPerSecond Infinity: no limit */
  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Resolves when this many bytes may be sent, and not sooner than after so many milliseconds. */
  async take(bytes: number, atLeastMs: number): Promise<void> {
    const now = performance.now();
    this.#free = Math.max(now, this.#free) + (bytes / this.#bytesPerSecond) * 1000;
    const wait = Math.max(this.#free - now, atLeastMs);
    if (wait > 0.5) await pause(wait);
  }
}
