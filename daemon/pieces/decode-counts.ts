// What a thread has decoded, as numbers that can be posted, and the sum over all threads.

import { Histogram, type HistogramData } from '../lib/histogram.js';

/** The counters of one thread since it started. */
export interface PostedDecoding {
  /** Reads of pieces that were decoded already. */
  readonly hits: number;
  /** Pieces, or groups of them, that the thread has decoded. */
  readonly misses: number;
  /** Times that it took one which another thread was decoding. */
  readonly joined: number;
  /** Decoded bytes that the thread keeps for itself. */
  readonly bytes: number;
  /** To decode and to check, by codec: without waiting for the stored bytes. */
  readonly seconds: readonly (readonly [codec: string, HistogramData])[];
  /** Digests that did not match, by format. */
  readonly failures: readonly (readonly [format: string, count: number])[];
}

/** Counts for one thread. */
export class DecodeCounts {
  hits = 0;
  misses = 0;
  joined = 0;
  readonly #seconds = new Map<string, Histogram>();
  readonly #failures = new Map<string, number>();

  decoded(codec: string, seconds: number): void {
    this.misses++;
    let histogram = this.#seconds.get(codec);
    if (!histogram) this.#seconds.set(codec, (histogram = new Histogram()));
    histogram.add(seconds);
  }

  digestFailed(format: string): void {
    this.#failures.set(format, (this.#failures.get(format) ?? 0) + 1);
  }

  /** @param bytes that the thread keeps for itself */
  posted(bytes: number): PostedDecoding {
    const { hits, misses, joined } = this;
    const seconds = [...this.#seconds].map(([codec, { data }]) => [codec, data] as const);
    return { hits, misses, joined, bytes, seconds, failures: [...this.#failures] };
  }
}

/** @param sharedBytes decoded bytes that the threads share */
export function sumOfDecoding(
  posted: Iterable<PostedDecoding>,
  sharedBytes: number,
): PostedDecoding {
  const sum = { hits: 0, misses: 0, joined: 0, bytes: sharedBytes };
  const seconds = new Map<string, Histogram>();
  const failures = new Map<string, number>();
  for (const each of posted) {
    sum.hits += each.hits;
    sum.misses += each.misses;
    sum.joined += each.joined;
    sum.bytes += each.bytes;
    for (const [codec, data] of each.seconds) {
      let histogram = seconds.get(codec);
      if (!histogram) seconds.set(codec, (histogram = new Histogram()));
      histogram.addAll(data);
    }
    for (const [format, count] of each.failures) {
      failures.set(format, (failures.get(format) ?? 0) + count);
    }
  }
  return { ...sum, seconds: [...seconds], failures: [...failures] };
}
