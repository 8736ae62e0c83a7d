// Time on a connection: the one deadline that it has at a time, and since when its client takes nothing.

import { PAUSED_AFTER_MS, PAUSED_MS, VANISHED_S } from './limits.js';

/** Who moves bytes; see nbd/outbox.ts. */
interface Progress {
  readonly totalSent: number;
  readonly blocked: boolean;
}

export class Deadline {
  readonly #progress: Progress;
  readonly #passed: (reason: string) => void;
  #timer: NodeJS.Timeout | null = null;
  /** When it passes, of performance.now. */
  #end = Infinity;

  /** @param passed told why the connection must end */
  constructor(progress: Progress, passed: (reason: string) => void) {
    this.#progress = progress;
    this.#passed = passed;
  }

  /** Milliseconds until it passes; Infinity if there is none. */
  get leftMs(): number {
    return Math.max(0, this.#end - performance.now());
  }

  /** In place of the one before. */
  after(ms: number, reason: string): void {
    this.clear();
    this.#end = performance.now() + ms;
    this.#timer = setTimeout(() => this.#passed(reason), ms).unref();
  }

  /** In place of the one before: passes when the client has taken nothing for so long. */
  whenStuck(ms: number, reason: string): void {
    this.clear();
    const { totalSent } = this.#progress;
    this.#end = performance.now() + ms;
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

/** When a client last took a byte, while it is being waited for. */
export class StallClock {
  /** Milliseconds of performance.now; null: it is not waited for. */
  since: number | null = null;
  #sent = 0;
  #paused = false;

  note({ blocked, totalSent }: Progress): void {
    if (!blocked) {
      this.since = null;
    } else if (this.since === null || totalSent !== this.#sent) {
      this.since = performance.now();
      this.#sent = totalSent;
    }
  }

  /**
   * A client that takes no replies is given longer before it counts as gone.
   * @param now of performance.now
   * @param give told how long it has from here on, when that changes
   */
  look(now: number, give: (ms: number) => void): void {
    const isPaused = this.since !== null && now - this.since >= PAUSED_AFTER_MS;
    if (isPaused === this.#paused) return;
    this.#paused = isPaused;
    give(isPaused ? PAUSED_MS : VANISHED_S * 1000);
  }
}
