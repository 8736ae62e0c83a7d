// How many background transfers (read-ahead, traces, fill) one registry may have. Additive increase, multiplicative
// decrease: the latency of reads on demand decides. Uses no clock: callers give the times.

import { BACKGROUND_TRANSFERS } from './limits.js';

/** Larger transfers take long by themselves. */
const MOST_CHUNKS = 4;
/** A read is slow if it takes longer than this factor times the typical latency, plus these milliseconds. */
const SLOW_FACTOR = 2;
const SLOW_MS = 10;
/** The typical latency grows by at most this factor with each read, so it follows a slower registry within some tens of reads. */
const FORGET = 1.05;
/** Mirrors and the registry, each with its own latency. Far more than any configuration names. */
const MAX_HOSTS = 16;

/** A read on demand that was fetched. */
export interface DemandRead {
  /** The host that answered: a mirror may be nearer than the registry. */
  readonly host: string;
  readonly chunks: number;
  /** Times of one clock, in milliseconds. */
  readonly begin: number;
  readonly end: number;
  /** How many background transfers ran when it ended. */
  readonly background: number;
}

export class BackgroundWindow {
  #size = BACKGROUND_TRANSFERS;
  /** Milliseconds of a read on demand when little else is fetched, by host. */
  readonly #usualMs = new Map<string, number>();
  /** Transfers that began before do not know the last decrease. */
  #decreasedAt = -Infinity;

  /** At least 1. */
  get size(): number {
    return Math.floor(this.#size);
  }

  demandEnded({ host, chunks, begin, end, background }: DemandRead): void {
    if (chunks > MOST_CHUNKS) return;
    const took = end - begin;
    const usual = this.#usualMs.get(host) ?? Infinity;
    const isSlow = took > SLOW_FACTOR * usual + SLOW_MS;
    this.#learn(host, Math.min(took, usual * FORGET));
    if (isSlow && background > 0) this.#decrease(begin, end);
  }

  /** A background transfer ended. @param isFull whether as many ran as may run */
  backgroundEnded(hasFailed: boolean, isFull: boolean, begin: number, end: number): void {
    if (hasFailed) this.#decrease(begin, end);
    else if (isFull) this.#size = Math.min(this.#size + 1 / this.#size, BACKGROUND_TRANSFERS);
  }

  /** Hosts that were not asked for the longest time are forgotten. */
  #learn(host: string, usualMs: number): void {
    this.#usualMs.delete(host);
    this.#usualMs.set(host, usualMs);
    const [oldest] = this.#usualMs.keys();
    if (this.#usualMs.size > MAX_HOSTS && oldest !== undefined) this.#usualMs.delete(oldest);
  }

  /** Decreases once for all reads that ran at the same time. */
  #decrease(begin: number, end: number): void {
    if (begin < this.#decreasedAt) return;
    this.#decreasedAt = end;
    this.#size = Math.max(this.#size / 2, 1);
  }
}
