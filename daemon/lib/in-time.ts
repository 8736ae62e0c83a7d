// Waits for a promise, with a time limit.

import { setTimeout as pause } from 'node:timers/promises';

/**
 * @returns whether `work` was done in time. If not, it continues unobserved: a later failure is ignored
 * @throws what `work` throws, if it fails in time
 */
export async function inTime(work: Promise<unknown>, milliseconds: number): Promise<boolean> {
  const done = new AbortController();
  const late = pause(milliseconds, false, { signal: done.signal }).catch(() => false);
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    done.abort();
  }
}
