// Waits for an event that nothing reports, by asking again and again.
import { setTimeout as pause } from 'node:timers/promises';

/** Long enough for a busy machine; only a failing test takes it. */
const MAX_MS = 120_000;

/** @throws Error if it does not come */
export async function until(isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + MAX_MS; !isSo(); await pause(1)) {
    if (performance.now() > end) throw new Error(`it did not come in ${MAX_MS / 1000} s`);
  }
}
