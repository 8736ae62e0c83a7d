// Counts what happens again and again, so that it is told now and then instead of every time: once
// for each key and interval, with how often it happened meanwhile. Bounded, whatever happens.

export interface RepeatLimits {
  /** Milliseconds between two tellings of one key. */
  readonly intervalMs: number;
  /** Keys that are told apart; what comes beside them shares one. */
  readonly keys: number;
  /** Of a new key so many are told one by one, before they are counted. */
  readonly burst: number;
  /** Besides the first of every key, so many of all keys together are told one by one in an interval. */
  readonly lines: number;
}

/** What of a key is told. */
export interface Telling<T> {
  /** The latest. */
  readonly subject: T;
  /** 0: it alone. Else how often it happened since the last telling, the latest included. */
  readonly count: number;
  /** What `count` is for is not of one key: there were too many of them. */
  readonly mixed: boolean;
}

interface Entry<T> {
  subject: T;
  /** When it was told last, or was new. */
  at: number;
  told: number;
  count: number;
}

/** So often an interval it is looked whether a count is to be told. */
const SWEEPS = 4;

export class Repeats<T> {
  readonly #limits: RepeatLimits;
  readonly #tell: (telling: Telling<T>) => void;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry<T>>();
  /** What has found no place among the keys. */
  #rest: Entry<T> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #lines = 0;
  #linesSince = -Infinity;

  /** @param now milliseconds of a clock that never goes back */
  constructor(
    limits: RepeatLimits,
    tell: (telling: Telling<T>) => void,
    now: () => number = () => performance.now(),
  ) {
    this.#limits = limits;
    this.#tell = tell;
    this.#now = now;
  }

  /**
   * @param key null: one that has found no place elsewhere
   * @param times how often it has happened, when somebody has counted already
   */
  note(key: string | null, subject: T, times = 1): void {
    const now = this.#now();
    const entry = this.#entryOf(key, subject, now);
    entry.subject = subject;
    entry.count += times;
    if (entry !== this.#rest && this.#mayTell(entry, now)) {
      entry.told++;
      entry.at = now;
      entry.count--;
      this.#tell({ subject, count: 0, mixed: false });
    }
    this.#watch();
  }

  /**
   * Tells the counts whose interval is over, and forgets what has not happened again. A timer calls it
   * while there is anything to count.
   * @param all at the end: whether the interval is over or not
   */
  sweep(all = false): void {
    const now = this.#now();
    const isOver = ({ at }: Entry<T>): boolean => all || now - at >= this.#limits.intervalMs;
    for (const [key, entry] of this.#entries) {
      if (isOver(entry) && !this.#tellCount(entry, false, now)) this.#entries.delete(key);
    }
    if (this.#rest && isOver(this.#rest) && !this.#tellCount(this.#rest, true, now)) {
      this.#rest = null;
    }
  }

  #entryOf(key: string | null, subject: T, now: number): Entry<T> {
    const known = key === null ? this.#rest : this.#entries.get(key);
    if (known) return known;
    const entry = { subject, at: now, told: 0, count: 0 };
    if (key === null || this.#entries.size >= this.#limits.keys) return (this.#rest ??= entry);
    this.#entries.set(key, entry);
    return entry;
  }

  /** @returns false when there was nothing to tell */
  #tellCount(entry: Entry<T>, mixed: boolean, now: number): boolean {
    const { subject, count } = entry;
    if (count === 0) return false;
    // Whoever goes on is counted from now on, and not told one by one again.
    entry.told = this.#limits.burst;
    entry.count = 0;
    entry.at = now;
    this.#tell({ subject, count, mixed });
    return true;
  }

  #mayTell({ told }: Entry<T>, now: number): boolean {
    if (told === 0) return true;
    if (told >= this.#limits.burst) return false;
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
