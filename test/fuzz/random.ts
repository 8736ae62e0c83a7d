// The random choices of the fuzzer, which follow from the seed and the number of the case.
import { seededRandom } from '../support/pattern.js';

export class Random {
  readonly #next: () => number;

  constructor(seed: number, stream: number) {
    this.#next = seededRandom(Math.imul(seed, 0x85ebca6b) ^ Math.imul(stream + 1, 0xc2b2ae35));
    // Neighbouring seeds give similar first numbers.
    for (let i = 0; i < 8; i++) this.#next();
  }

  /** In [0, 2^32). */
  u32(): number {
    return this.#next();
  }

  /** In [0, below). */
  below(below: number): number {
    return Math.floor((this.#next() / 2 ** 32) * below);
  }

  /** In [from, to]. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  /** True in this many of a hundred calls. */
  percent(percent: number): boolean {
    return this.#next() < percent * 42_949_672.96;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  /** One of the items, with the probability of its number. */
  weighted<T>(...choices: readonly (readonly [weight: number, choice: T])[]): T {
    let at = this.below(choices.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, choice] of choices) {
      if (at < weight) return choice;
      at -= weight;
    }
    throw new RangeError('no choices');
  }

  bytes(length: number): Buffer {
    const out = Buffer.alloc(length);
    for (let i = 0; i < length; i++) out[i] = this.#next() >>> 13;
    return out;
  }
}
