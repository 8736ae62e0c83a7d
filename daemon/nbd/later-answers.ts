// Answers that become ready outside of a pump. They are made only when there is room for them, so a client
// that takes nothing cannot make the server hold any number of them.

export class LaterAnswers {
  readonly #queue: (() => void)[] = [];

  /** @param answer makes the reply */
  add(answer: () => void): void {
    this.#queue.push(answer);
  }

  /** Makes one reply. @returns false if there is none */
  make(): boolean {
    const answer = this.#queue.shift();
    answer?.();
    return answer !== undefined;
  }
}
