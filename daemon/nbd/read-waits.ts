// The reads of one export that have to wait: the times of those that are over, and those that wait now. Reads whose
// bytes are at hand are not part of this, so that they need no clock.

import { monotonicMs } from '../lib/clock.js';
import { Histogram } from '../lib/histogram.js';

/** The waiting of a read. */
export interface WaitingRead {
  /** When it began to wait, by {@link monotonicMs}; 0: it has not. */
  since: number;
  /** Whether it has waited for a network, and not for a disk alone. */
  isRemote: boolean;
}

export class ReadWaits {
  /** Seconds of reads that waited for a network, until their answer. */
  readonly remote = new Histogram();
  /** Seconds of reads that waited for a disk alone. */
  readonly local = new Histogram();
  readonly #now: () => number;
  /** In the order in which they began. */
  readonly #waiting = new Set<WaitingRead>();

  constructor(now: () => number = monotonicMs) {
    this.#now = now;
  }

  /** Call this each time that the read has to wait. */
  begin(read: WaitingRead, isRemote: boolean): void {
    if (isRemote) read.isRemote = true;
    if (read.since > 0) return;
    read.since = this.#now();
    this.#waiting.add(read);
  }

  /** The read is answered, maybe with an error. */
  end(read: WaitingRead): void {
    if (!this.#waiting.delete(read)) return;
    const seconds = (this.#now() - read.since) / 1000;
    if (read.isRemote) this.remote.add(seconds);
    else this.local.add(seconds);
  }

  /** The connection has ended, or another process answers the read. */
  drop(read: WaitingRead): void {
    this.#waiting.delete(read);
  }

  /** Reads that wait now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Of these, the ones that wait for a network. */
  get parked(): number {
    let parked = 0;
    for (const { isRemote } of this.#waiting) if (isRemote) parked++;
    return parked;
  }

  /** How long the oldest of them has waited; 0 if none waits. */
  get oldestMs(): number {
    const [oldest] = this.#waiting;
    return oldest ? this.#now() - oldest.since : 0;
  }
}
