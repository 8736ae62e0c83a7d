// Counters of all transfers of a fetcher: bytes, times, failures. For the metrics.

import { codeOf } from '../errors.js';
import { Histogram, type HistogramData } from '../lib/histogram.js';
import type { FetchClass } from '../registry/http/client.js';
import type { FetchBlob } from './fetch-blob.js';
import { noPrefetch, type PrefetchTotals } from './prefetched.js';

/** Transfers by size; each bucket counts those above the size before it. */
export const TRANSFER_SIZES = ['64k', '256k', '1m'] as const;
type TransferSize = (typeof TRANSFER_SIZES)[number];

export interface PostedTotals {
  /** Bytes that were kept, by class. */
  readonly bytes: Readonly<Record<FetchClass, number>>;
  /** Reads that failed, by code. */
  readonly failed: Readonly<Record<string, number>>;
  /** Prefetched bytes by class: those that were read, and those that were evicted unread. */
  readonly prefetch: PrefetchTotals;
  /** Seconds of whole transfers. */
  readonly seconds: Readonly<Record<TransferSize, HistogramData>>;
}

export class FetchTotals {
  readonly bytes: Record<FetchClass, number> = { demand: 0, ahead: 0, trace: 0, fill: 0 };
  readonly failed: Record<string, number> = {};
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

  readFailed(error: Error): void {
    const code = codeOf(error);
    this.failed[code] = (this.failed[code] ?? 0) + 1;
  }

  /** A copy that can be posted. @param open blobs, of which some was used since */
  posted(open: Iterable<FetchBlob>): PostedTotals {
    for (const blob of open) blob.settlePrefetched();
    const { ahead, trace, fill } = this.#prefetch;
    return {
      bytes: { ...this.bytes },
      failed: { ...this.failed },
      prefetch: { ahead: { ...ahead }, trace: { ...trace }, fill: { ...fill } },
      seconds: {
        '64k': this.#seconds['64k'].data,
        '256k': this.#seconds['256k'].data,
        '1m': this.#seconds['1m'].data,
      },
    };
  }
}
