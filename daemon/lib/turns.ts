// Runs asynchronous work one piece after the other, in the order in which it was asked for.

export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** @returns what `work` returns; if it throws, the next one runs all the same */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
