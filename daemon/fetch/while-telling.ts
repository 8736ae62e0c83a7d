// Work of the fetcher that may take longer than its caller waits for a sign of life: says now and then that it goes on.

import type { Clock } from './clock.js';
import { ALIVE_MS } from './limits.js';

/** @param tell called each {@link ALIVE_MS} until the work has ended */
export async function whileTelling<T>(
  clock: Clock,
  tell: () => void,
  work: () => Promise<T>,
): Promise<T> {
  const again = (): void => {
    tell();
    cancel = clock.after(ALIVE_MS, again);
  };
  let cancel = clock.after(ALIVE_MS, again);
  try {
    return await work();
  } finally {
    cancel();
  }
}
