// The state of the fetcher, for the control API and the metrics. Types only.

import type { CacheStatus } from '../cache/cached-blob.js';
import type { FetchClass, HostStatus } from '../registry/http/client.js';
import type { HostCounters } from '../registry/http/counters.js';

import type { PostedTotals } from './fetch-totals.js';

export type ByClass = Readonly<Record<FetchClass, number>>;

export interface FetchStatus extends PostedTotals {
  /** Of one host of a reference; mirrors and stores are below `registries`. */
  readonly hosts: readonly {
    readonly host: string;
    readonly inFlight: ByClass;
    /** Chunks. */
    readonly queued: ByClass;
    /** Transfers that read-ahead, traces and fill may have together now. */
    readonly window: number;
  }[];
  /** Chunks that were fetched again because they were wrong. */
  readonly refetched: number;
  /** Chunks that other processes are fetching. */
  readonly elsewhere: number;
  /** Reads that wait for chunks. */
  readonly waiting: number;
  /** Milliseconds that the oldest of them has waited. */
  readonly oldestMs: number;
  readonly blobs: readonly BlobStatus[];
  readonly registries: readonly HostStatus[];
  readonly network: {
    /** By name; a host that is not among the first 256 counts as "other". */
    readonly hosts: readonly (readonly [string, HostCounters])[];
    /** Exchanges of tokens, by result. */
    readonly tokens: Readonly<Record<string, number>>;
  };
  readonly cache: CacheStatus;
}

export interface BlobStatus {
  readonly blob: number;
  readonly digest: string;
  readonly host: string;
  readonly repository: string;
  readonly size: number;
  /** Reads that found their bytes, and that had to wait; the numbers wrap at 2^32. */
  readonly hits: number;
  readonly misses: number;
  /** 0 to 1. */
  readonly present: number;
  readonly isComplete: boolean;
  /** Threads that have it open. */
  readonly holders: number;
  /** Reads that wait for it. */
  readonly waiting: number;
  /** Why its last transfer failed; null: it did not. */
  readonly lastError: string | null;
}
