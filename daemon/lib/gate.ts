// Lets so many pieces of asynchronous work go on at a time; the others wait in the order of their coming.

export class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** @param width how many at a time */
  constructor(width: number) {
    this.#free = width;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}
