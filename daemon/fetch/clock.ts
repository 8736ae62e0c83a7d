// Time as the fetcher's parts see it: tests have one of their own.

import { monotonicMs } from '../lib/clock.js';

/** Ends a timer; after it has rung, does nothing. */
export type CancelTimer = () => void;

export interface Clock {
  /** Milliseconds, of a clock that never goes back: performance.now(). */
  now(): number;
  /** Calls `ring` once. */
  after(milliseconds: number, ring: () => void): CancelTimer;
  /** Calls `run` when all that this turn of the event loop brings has been looked at. */
  soon(run: () => void): void;
}

export const realClock: Clock = {
  now: () => performance.now(),
  after: (milliseconds, ring) => {
    const timer = setTimeout(ring, milliseconds);
    return () => clearTimeout(timer);
  },
  soon: (run) => void setImmediate(run),
};

/**
 * Zero of performance.now() differs between threads; that of hrtime is the machine's. Found when it is first needed:
 * reactors load this file at every start, and the first performance.now() loads node:perf_hooks (lib/clock.ts).
 */
let origin: number | null = null;

function originMs(): number {
  return (origin ??= monotonicMs() - performance.now());
}

/** For messages: a time of this thread's clock, as every thread of the machine would say it. */
export function toMachineTime(milliseconds: number): number {
  return milliseconds + originMs();
}

export function fromMachineTime(milliseconds: number): number {
  return milliseconds - originMs();
}
