// Answers that become ready while nobody has looked whether there is room for them: they are made when
// there is, so that a client that takes nothing cannot have any number of them made.

export class LaterAnswers {
  readonly #queue: (() => void)[] = [];

  /** @param answer makes the reply */
  add(answer: () => void): void {
    this.#queue.push(answer);
  }

  /** Makes one. @returns false when there is none */
  make(): boolean {
    const answer = this.#queue.shift();
    answer?.();
    return answer !== undefined;
  }
}
