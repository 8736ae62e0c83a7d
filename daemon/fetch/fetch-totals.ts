// Counters of all transfers of a fetcher: bytes, times, failures. For the metrics.

import { OverlaybdError } from '../errors.js';
import { Histogram, type HistogramData } from '../lib/histogram.js';
import type { FetchClass } from '../registry/http/client.js';
import { MAX_COUNTED_HOSTS } from '../registry/http/counters.js';
import type { FetchBlob } from './fetch-blob.js';
import { noPrefetch, type PrefetchTotals } from './prefetched.js';

export { MAX_COUNTED_HOSTS };

/** Transfers by size; each bucket counts those above the size before it. */
export const TRANSFER_SIZES = ['64k', '256k', '1m'] as const;
type TransferSize = (typeof TRANSFER_SIZES)[number];

/** Failures of one kind. */
export interface FailureCount {
  /** The host that failed; "other" if it is not among the first 256. */
  readonly host: string;
  readonly class: FetchClass;
  /** The kind, as in the fact of the error; "other": not the network's. */
  readonly failure: string;
  readonly count: number;
}

export interface PostedTotals {
  /** Chunks that were not what they had been when their layer was read as a whole, each time that they came. */
  readonly wrong: number;
  /** Bytes that were kept, by class. */
  readonly bytes: Readonly<Record<FetchClass, number>>;
  readonly failed: readonly FailureCount[];
  /** Prefetched bytes by class: those that were read, and those that were evicted unread. */
  readonly prefetch: PrefetchTotals;
  /** Seconds of whole transfers. */
  readonly seconds: Readonly<Record<TransferSize, HistogramData>>;
}

export class FetchTotals {
  #wrong = 0;
  /** Chunks that are fetched again past mirrors, because what came was wrong. */
  refetched = 0;
  readonly bytes: Record<FetchClass, number> = { demand: 0, ahead: 0, trace: 0, fill: 0 };
  readonly #failed = new Map<string, FailureCount>();
  /** Hosts with failures of their own. */
  readonly #hosts = new Set<string>();
  readonly #prefetch = noPrefetch();
  readonly #seconds = { '64k': new Histogram(), '256k': new Histogram(), '1m': new Histogram() };

  /** @param wantedAs the most urgent class of those that want the chunk now */
  arrived(blob: FetchBlob, chunk: number, sentAs: FetchClass, wantedAs: FetchClass): void {
    this.bytes[sentAs] += blob.bytesOf(chunk, chunk);
    blob.prefetched(this.#prefetch).arrived(chunk, wantedAs);
  }

  transferred(chunks: number, milliseconds: number): void {
    const size = chunks === 1 ? '64k' : chunks <= 4 ? '256k' : '1m';
    this.#seconds[size].add(milliseconds / 1000);
  }

  /** @param again how many of them are fetched again */
  wrongChunks(count: number, again: number): void {
    this.#wrong += count;
    this.refetched += again;
  }

  /** BUSY does not count: the caller has given up, or asked for too much. */
  waitFailed(error: Error, fetchClass: FetchClass, blob: Pick<FetchBlob, 'ref'>): void {
    const isOurs = error instanceof OverlaybdError;
    if (isOurs && error.code === 'BUSY') return;
    const facts = isOurs ? error.facts : {};
    const name = this.#counted(facts.host ?? blob.ref.host);
    const failure = facts.failure ?? 'other';
    const key = `${name} ${fetchClass} ${failure}`;
    const count = (this.#failed.get(key)?.count ?? 0) + 1;
    this.#failed.set(key, { host: name, class: fetchClass, failure, count });
  }

  #counted(host: string): string {
    if (this.#hosts.has(host)) return host;
    if (this.#hosts.size >= MAX_COUNTED_HOSTS) return 'other';
    this.#hosts.add(host);
    return host;
  }

  /** A copy that can be posted. @param open blobs, of which some was used since */
  posted(open: Iterable<FetchBlob>): PostedTotals {
    for (const blob of open) blob.settlePrefetched();
    const { ahead, trace, fill } = this.#prefetch;
    return {
      wrong: this.#wrong,
      bytes: { ...this.bytes },
      failed: [...this.#failed.values()],
      prefetch: { ahead: { ...ahead }, trace: { ...trace }, fill: { ...fill } },
      seconds: {
        '64k': this.#seconds['64k'].data,
        '256k': this.#seconds['256k'].data,
        '1m': this.#seconds['1m'].data,
      },
    };
  }
}
