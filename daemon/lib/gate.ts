// Limits how many pieces of asynchronous work run at the same time. The others wait, first come first
// served.

import { inTime } from './in-time.js';

export class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  readonly #patienceMs: number | null;

  /**
   * @param width how many pieces of work may run at the same time
   * @param patienceMs work that runs longer than this continues, but no longer counts: the next one starts
   */
  constructor(width: number, patienceMs: number | null = null) {
    this.#free = width;
    this.#patienceMs = patienceMs;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let done: Promise<T>;
    try {
      done = work();
      await (this.#patienceMs === null ? done : inTime(done, this.#patienceMs));
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
    return done;
  }
}

/**
 * Runs `work` for each item, at most `width` at a time, and waits for all that it has started. After
 * the first failure it starts no more; the items that were not started are rejected with that reason.
 * Items start in order, so the first rejected item in that order carries a failure of its own.
 * @returns the results in the order of the items
 */
export function settleEach<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<R>,
): Promise<PromiseSettledResult<R>[]> {
  const gate = new Gate(width);
  let failure: { readonly reason: unknown } | null = null;
  const one = async (item: T): Promise<R> => {
    if (failure) throw failure.reason;
    try {
      return await work(item);
    } catch (error) {
      failure ??= { reason: error };
      throw error;
    }
  };
  return Promise.allSettled(items.map((item) => gate.run(() => one(item))));
}

/** Like {@link settleEach}, but rejects if an item fails, with the reason of the first in order. */
export async function mapEach<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  return (await settleEach(items, width, work)).map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}
