// Time as the fetcher's parts see it: tests have one of their own.

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

/** Zero of performance.now() differs between threads; that of hrtime is the machine's. */
const ORIGIN = machineTime() - performance.now();

/** For messages: a time of this thread's clock, as every thread of the machine would say it. */
export function toMachineTime(milliseconds: number): number {
  return milliseconds + ORIGIN;
}

export function fromMachineTime(milliseconds: number): number {
  return milliseconds - ORIGIN;
}

function machineTime(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}
