// Which bytes of the device belong to what: no byte may belong to two things.
import { demand } from './demand.js';

export class Claims {
  readonly #claims: { begin: number; end: number; what: string }[] = [];

  add(begin: number, end: number, what: string): void {
    this.#claims.push({ begin, end, what });
  }

  check(): void {
    const sorted = this.#claims.toSorted((a, b) => a.begin - b.begin);
    for (const [i, { begin, what }] of sorted.entries()) {
      const before = sorted[i - 1];
      if (before) demand(before.end <= begin, `${before.what} and ${what} overlap at ${begin}`);
    }
  }
}
