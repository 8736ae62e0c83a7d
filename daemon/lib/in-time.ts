// Waits for a promise, with a time limit.

/**
 * @returns whether `work` was done in time. If not, it continues unobserved: a later failure is ignored
 * @throws what `work` throws, if it fails in time
 */
export function inTime(work: Promise<unknown>, milliseconds: number): Promise<boolean> {
  // Not with an AbortController: its event costs a start a millisecond.
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(false), milliseconds);
    void work.then(() => resolve(true), reject).finally(() => clearTimeout(timer));
  });
}
