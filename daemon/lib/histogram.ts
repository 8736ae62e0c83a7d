// A histogram of latencies: plain numbers that can be posted, added up and written as a metric.

/** Upper bounds of the buckets, in seconds; a last bucket has the rest. */
export const LATENCY_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** What other threads get of a {@link Histogram}. */
export interface HistogramData {
  /** One more than {@link LATENCY_BOUNDS}; not cumulative. */
  readonly buckets: readonly number[];
  readonly count: number;
  /** Seconds. */
  readonly sum: number;
}

export class Histogram implements HistogramData {
  readonly buckets: number[] = Array.from({ length: LATENCY_BOUNDS.length + 1 }, () => 0);
  count = 0;
  sum = 0;

  add(seconds: number): void {
    const at = LATENCY_BOUNDS.findIndex((bound) => seconds <= bound);
    const bucket = at < 0 ? LATENCY_BOUNDS.length : at;
    this.buckets[bucket] = (this.buckets[bucket] ?? 0) + 1;
    this.count++;
    this.sum += seconds;
  }

  /** Adds all that another one has. */
  addAll({ buckets, count, sum }: HistogramData): void {
    for (const [i, each] of buckets.entries()) this.buckets[i] = (this.buckets[i] ?? 0) + each;
    this.count += count;
    this.sum += sum;
  }

  /** A copy that can be posted. */
  get data(): HistogramData {
    return { buckets: this.buckets.slice(), count: this.count, sum: this.sum };
  }
}
