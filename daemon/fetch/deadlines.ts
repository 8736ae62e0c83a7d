// Rings when reads have waited for too long. Those with about the same deadline share a timer, so that ten
// thousand of them cost no more than their entries.

import type { CancelTimer, Clock } from './clock.js';
import { DEADLINE_GRAIN_MS } from './limits.js';

interface Waiting {
  readonly deadline: number;
}

export class Deadlines<T extends Waiting> {
  readonly #clock: Clock;
  readonly #late: (waiting: T) => void;
  /** By deadline in units of {@link DEADLINE_GRAIN_MS}, rounded down. */
  readonly #slots = new Map<number, Set<T>>();
  #next = Infinity;
  #cancel: CancelTimer | null = null;

  /** @param late called once for each that was not removed, not later than its deadline by a working clock */
  constructor(clock: Clock, late: (waiting: T) => void) {
    this.#clock = clock;
    this.#late = late;
  }

  add(waiting: T): void {
    if (waiting.deadline === Infinity) return;
    const slot = slotOf(waiting);
    const others = this.#slots.get(slot);
    if (others) others.add(waiting);
    else this.#slots.set(slot, new Set([waiting]));
    if (slot < this.#next) this.#setTimer(slot);
  }

  remove(waiting: T): void {
    const slot = slotOf(waiting);
    const others = this.#slots.get(slot);
    if (!others?.delete(waiting) || others.size > 0) return;
    this.#slots.delete(slot);
    if (this.#slots.size === 0) this.#setTimer(Infinity);
  }

  #setTimer(slot: number): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#next = slot;
    if (slot === Infinity) return;
    const delay = Math.max(0, slot * DEADLINE_GRAIN_MS - this.#clock.now());
    this.#cancel = this.#clock.after(delay, () => this.#ring());
  }

  #ring(): void {
    const now = Math.floor(this.#clock.now() / DEADLINE_GRAIN_MS);
    let next = Infinity;
    const over: Set<T>[] = [];
    for (const [slot, waiting] of this.#slots) {
      if (slot <= now) over.push(waiting);
      else next = Math.min(next, slot);
    }
    this.#setTimer(next);
    for (const waiting of over) {
      for (const each of waiting) {
        this.remove(each);
        this.#late(each);
      }
    }
  }
}

function slotOf({ deadline }: Waiting): number {
  return Math.floor(deadline / DEADLINE_GRAIN_MS);
}
