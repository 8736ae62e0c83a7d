// Memory for replies to long reads: one budget for each thread, given out in order. If others wait, a
// client that holds some and stops reading loses the memory and its connection.

import { MAX_LARGE_BYTES, STALLED_MS } from './limits.js';
import { SendBuffer, type ReleasePages } from './outbox.js';
import { monotonicMs } from '../lib/clock.js';

const CHECK_INTERVAL_MS = 1000;

/** A holder of large memory, as the budget sees it. */
export interface LargeMemoryUser {
  /** When it became stuck, in milliseconds of monotonicMs, or null. */
  stalledSince(): number | null;
  /** Ends the connection because others need its memory. */
  evict(): void;
}

interface Waiter {
  readonly size: number;
  readonly user: LargeMemoryUser;
  readonly resolve: (buffer: SendBuffer) => void;
  readonly reject: (error: unknown) => void;
}

export class LargeMemory {
  #used = 0;
  #waiters: Waiter[] = [];
  #timer: NodeJS.Timeout | null = null;
  readonly #holders = new Map<SendBuffer, LargeMemoryUser>();
  readonly #releasePages: ReleasePages;
  readonly #limit: number;
  readonly #stalledMs: number;

  /** @param releasePages called for memory that is no longer used */
  constructor(
    releasePages: ReleasePages = () => undefined,
    limit = MAX_LARGE_BYTES,
    stalledMs = STALLED_MS,
  ) {
    this.#releasePages = releasePages;
    this.#limit = limit;
    this.#stalledMs = stalledMs;
  }

  /**
   * Waits for `size` bytes. The buffer's release gives them back.
   * @param size at most the limit, or alone in the budget
   * @throws RangeError if the machine does not have the memory
   */
  acquire(size: number, user: LargeMemoryUser): Promise<SendBuffer> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ size, user, resolve, reject });
      this.#serve();
    });
  }

  /** Drops the waiters of a user that is gone. Their promises never resolve. */
  forget(user: LargeMemoryUser): void {
    this.#waiters = this.#waiters.filter((waiter) => waiter.user !== user);
    this.#serve();
  }

  #serve(): void {
    for (;;) {
      const next = this.#waiters[0];
      if (!next || (this.#used > 0 && this.#used + next.size > this.#limit)) break;
      this.#waiters.shift();
      try {
        const buffer = new SendBuffer(next.size, (used) => this.#release(used));
        this.#used += next.size;
        this.#holders.set(buffer, next.user);
        next.resolve(buffer);
      } catch (error) {
        next.reject(error);
      }
    }
    this.#watch();
  }

  #release(buffer: SendBuffer): void {
    if (!this.#holders.delete(buffer)) return;
    this.#used -= buffer.bytes.length;
    // Released at once and not by the garbage collector: the next reply needs as much again.
    this.#releasePages(buffer.bytes);
    this.#serve();
  }

  /** Looks for stuck holders while there are waiters. */
  #watch(): void {
    if (this.#waiters.length === 0) {
      if (this.#timer) clearInterval(this.#timer);
      this.#timer = null;
    } else {
      this.#timer ??= setInterval(() => this.#evictStalled(), CHECK_INTERVAL_MS).unref();
    }
  }

  /** Evicts stalled holders, the longest stalled first, until there are no waiters. */
  #evictStalled(): void {
    const before = monotonicMs() - this.#stalledMs;
    const stalled = [...new Set(this.#holders.values())]
      .map((user) => ({ user, since: user.stalledSince() ?? Infinity }))
      .filter(({ since }) => since <= before)
      .toSorted((a, b) => a.since - b.since);
    for (const { user } of stalled) {
      if (this.#waiters.length === 0) return;
      user.evict();
    }
  }
}
