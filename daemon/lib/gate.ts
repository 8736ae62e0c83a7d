// Lets so many pieces of asynchronous work go on at a time; the others wait in the order of their coming.

import { inTime } from './in-time.js';

export class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  readonly #patienceMs: number | null;

  /**
   * @param width how many at a time
   * @param patienceMs work that takes longer goes on, but the next begins: it counts no more
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
 * Does the same for each, in their order and so many at a time, and waits for all that was begun. Once
 * one has failed no more are begun: they fail likewise, and the first in the order is as it would be.
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

/** The same, but the first item that fails is what all of it fails with. */
export async function mapEach<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  return (await settleEach(items, width, work)).map((each) => {
    if (each.status === 'rejected') throw each.reason;
    return each.value;
  });
}
