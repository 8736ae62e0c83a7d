// Time as the fetcher's parts see it: tests have one of their own.

import { monotonicMs } from '../lib/clock.js';

/** Ends a timer; after it has rung, does nothing. */
export type CancelTimer = () => void;

export interface Clock {
  /** Milliseconds of {@link monotonicMs}: deadlines cross between threads. */
  now(): number;
  /** Calls `ring` once. */
  after(milliseconds: number, ring: () => void): CancelTimer;
  /** Calls `run` when all that this turn of the event loop brings has been looked at. */
  soon(run: () => void): void;
}

export const realClock: Clock = {
  now: monotonicMs,
  after: (milliseconds, ring) => {
    const timer = setTimeout(ring, milliseconds);
    return () => clearTimeout(timer);
  },
  soon: (run) => void setImmediate(run),
};
