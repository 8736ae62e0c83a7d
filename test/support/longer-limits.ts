// Tests of short time limits, in which a busy machine may not get through the steps that must come before the limit.

/** Only a failing test gets there. */
const MOST_MS = 120_000;

/**
 * Tries with a limit four times as long, until an attempt could be made.
 * @param attempt returns false if the limit passed too early for it
 * @returns what the attempt that could be made returned
 */
export async function withLongerLimits<T>(
  firstMs: number,
  attempt: (ms: number) => Promise<T | false>,
): Promise<T> {
  for (let ms = firstMs; ms <= MOST_MS; ms *= 4) {
    const made = await attempt(ms);
    if (made !== false) return made;
  }
  throw new Error(`the limit passed too early, also one of ${MOST_MS / 1000} s`);
}
