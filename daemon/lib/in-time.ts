// Waits for something, but not longer than it is worth.

import { setTimeout as pause } from 'node:timers/promises';

/** @returns whether it was done in time; if not it goes on, and so does its failing: nobody hears of it here */
export async function inTime(work: Promise<unknown>, milliseconds: number): Promise<boolean> {
  const done = new AbortController();
  const late = pause(milliseconds, false, { signal: done.signal }).catch(() => false);
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    done.abort();
  }
}
