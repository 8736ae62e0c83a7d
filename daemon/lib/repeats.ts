// Reports repeated events at intervals instead of one by one: for each key, one report an interval
// with the number of events since the last one. Memory and the number of reports are bounded.

import { monotonicMs } from './clock.js';

export interface RepeatLimits {
  /** Milliseconds between two reports of one key. */
  readonly intervalMs: number;
  /** Keys that are counted separately. Events of further keys share one count. */
  readonly keys: number;
  /** Events of a new key that are reported one by one, before the others are counted. */
  readonly burst: number;
  /** Events of all keys that are reported one by one in an interval. The first of a key always is. */
  readonly lines: number;
}

/** One event, or a number of events that were counted. */
export interface RepeatReport<T> {
  /** The latest event. */
  readonly subject: T;
  /** 0 for a single event. Else the number of events since the last report, the latest included. */
  readonly count: number;
  /** Whether the counted events have several keys, because there were more than `keys`. */
  readonly mixed: boolean;
}

interface Entry<T> {
  subject: T;
  /** When the key was last reported, or created. */
  at: number;
  /** Events that were reported one by one. */
  reported: number;
  count: number;
}

/** How often in an interval the timer looks for counts to report. */
const SWEEPS = 4;

export class Repeats<T> {
  readonly #limits: RepeatLimits;
  readonly #report: (report: RepeatReport<T>) => void;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry<T>>();
  /** Events whose key is beyond `limits.keys`, or null. */
  #rest: Entry<T> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #lines = 0;
  #linesSince = -Infinity;

  /** @param now milliseconds of a clock that never goes back */
  constructor(
    limits: RepeatLimits,
    report: (report: RepeatReport<T>) => void,
    now: () => number = monotonicMs,
  ) {
    this.#limits = limits;
    this.#report = report;
    this.#now = now;
  }

  /**
   * Notes an event.
   * @param key null if another counter had no room for the key: the event goes to the shared count
   * @param times number of events, if the caller has counted them
   */
  note(key: string | null, subject: T, times = 1): void {
    const now = this.#now();
    const entry = this.#entryOf(key, subject, now);
    entry.subject = subject;
    entry.count += times;
    if (entry !== this.#rest && this.#mayReport(entry, now)) {
      entry.reported++;
      entry.at = now;
      entry.count--;
      this.#report({ subject, count: 0, mixed: false });
    }
    this.#watch();
  }

  /**
   * Reports the counts whose interval is over, and forgets keys without new events. A timer calls this
   * while there are keys.
   * @param all report every count, even if its interval is not over: for the end of the process
   */
  sweep(all = false): void {
    const now = this.#now();
    const isOver = ({ at }: Entry<T>): boolean => all || now - at >= this.#limits.intervalMs;
    for (const [key, entry] of this.#entries) {
      if (isOver(entry) && !this.#reportCount(entry, false, now)) this.#entries.delete(key);
    }
    if (this.#rest && isOver(this.#rest) && !this.#reportCount(this.#rest, true, now)) {
      this.#rest = null;
    }
  }

  #entryOf(key: string | null, subject: T, now: number): Entry<T> {
    const known = key === null ? this.#rest : this.#entries.get(key);
    if (known) return known;
    const entry = { subject, at: now, reported: 0, count: 0 };
    if (key === null || this.#entries.size >= this.#limits.keys) return (this.#rest ??= entry);
    this.#entries.set(key, entry);
    return entry;
  }

  /** @returns false if there was nothing to report */
  #reportCount(entry: Entry<T>, mixed: boolean, now: number): boolean {
    const { subject, count } = entry;
    if (count === 0) return false;
    // From now on, events of this key are only counted.
    entry.reported = this.#limits.burst;
    entry.count = 0;
    entry.at = now;
    this.#report({ subject, count, mixed });
    return true;
  }

  #mayReport({ reported }: Entry<T>, now: number): boolean {
    if (reported === 0) return true;
    if (reported >= this.#limits.burst) return false;
    if (now - this.#linesSince >= this.#limits.intervalMs) {
      this.#linesSince = now;
      this.#lines = 0;
    }
    return this.#lines++ < this.#limits.lines;
  }

  #watch(): void {
    if (this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.sweep();
      if (this.#entries.size > 0 || this.#rest) this.#watch();
    }, this.#limits.intervalMs / SWEEPS).unref();
  }
}
