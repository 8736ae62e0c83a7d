// Messages in the order in which they came, if taking one of them has to wait: those after it wait, too.

export class MessageQueue<T> {
  readonly #take: (message: T) => Promise<void> | null;
  readonly #waiting: T[] = [];
  #isTaking = false;

  /** @param take returns null if the message has been taken. If it rejects, the thread ends: that is a bug */
  constructor(take: (message: T) => Promise<void> | null) {
    this.#take = take;
  }

  add(message: T): void {
    if (this.#isTaking) this.#waiting.push(message);
    else this.#takeNow(message);
  }

  #takeNow(message: T): void {
    const taken = this.#take(message);
    if (!taken) return;
    this.#isTaking = true;
    void taken.then(() => this.#takeWaiting());
  }

  #takeWaiting(): void {
    this.#isTaking = false;
    while (!this.#isTaking) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#takeNow(next);
    }
  }
}
