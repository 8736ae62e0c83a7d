// Time on a connection: its one deadline, and since when its client has taken no bytes.

import { PAUSED_AFTER_MS, PAUSED_MS, VANISHED_S } from './limits.js';
import { monotonicMs } from '../lib/clock.js';

/** The sending side of a connection; see nbd/outbox.ts. */
interface Progress {
  readonly totalSent: number;
  readonly blocked: boolean;
}

export class Deadline {
  readonly #progress: Progress;
  readonly #passed: (reason: string) => void;
  #timer: NodeJS.Timeout | null = null;
  /** When it passes, of monotonicMs. */
  #end = Infinity;

  /** @param passed called with the reason why the connection must end */
  constructor(progress: Progress, passed: (reason: string) => void) {
    this.#progress = progress;
    this.#passed = passed;
  }

  /** Milliseconds until it passes; Infinity if there is none. */
  get leftMs(): number {
    return Math.max(0, this.#end - monotonicMs());
  }

  /** Replaces the deadline before. */
  after(ms: number, reason: string): void {
    this.clear();
    this.#end = monotonicMs() + ms;
    this.#timer = setTimeout(() => this.#passed(reason), ms).unref();
  }

  /** Replaces the deadline before. It passes when the client has taken no byte for this long. */
  whenStuck(ms: number, reason: string): void {
    this.clear();
    const { totalSent } = this.#progress;
    this.#end = monotonicMs() + ms;
    this.#timer = setTimeout(() => {
      if (this.#progress.totalSent === totalSent) this.#passed(reason);
      else this.whenStuck(ms, reason);
    }, ms).unref();
  }

  clear(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#end = Infinity;
  }
}

/** When a client last took a byte, while we wait for it to take more. */
export class StallClock {
  /** Milliseconds of monotonicMs; null while we do not wait for the client. */
  since: number | null = null;
  #sent = 0;
  #paused = false;

  note({ blocked, totalSent }: Progress): void {
    if (!blocked) {
      this.since = null;
    } else if (this.since === null || totalSent !== this.#sent) {
      this.since = monotonicMs();
      this.#sent = totalSent;
    }
  }

  /**
   * Gives a client that takes no replies more time before it counts as gone.
   * @param now of monotonicMs
   * @param give called with the new time in milliseconds, when it changes
   */
  look(now: number, give: (ms: number) => void): void {
    const isPaused = this.since !== null && now - this.since >= PAUSED_AFTER_MS;
    if (isPaused === this.#paused) return;
    this.#paused = isPaused;
    give(isPaused ? PAUSED_MS : VANISHED_S * 1000);
  }
}
