// What the network did, counted for each host: plain numbers that metrics and status read. Hosts are bounded.

import type { FetchClass } from './range-request.js';

/** Hosts that are counted by name; all further ones share "other". */
export const MAX_COUNTED_HOSTS = 256;
/** Upper bounds of the latency buckets, in seconds; a last one has the rest. */
export const LATENCY_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** @internal for its unit test */
export class Histogram {
  /** One more than {@link LATENCY_BOUNDS}; not cumulative. */
  readonly buckets: number[] = Array.from({ length: LATENCY_BOUNDS.length + 1 }, () => 0);
  count = 0;
  /** Seconds. */
  sum = 0;

  add(seconds: number): void {
    const at = LATENCY_BOUNDS.findIndex((bound) => seconds <= bound);
    const bucket = at < 0 ? LATENCY_BOUNDS.length : at;
    this.buckets[bucket] = (this.buckets[bucket] ?? 0) + 1;
    this.count++;
    this.sum += seconds;
  }
}

export class HostCounters {
  /** By HTTP status ("206"), or by "connect", "timeout", "reset", "tls", "malformed" if there was none. */
  readonly requests: Record<string, number> = {};
  /** Bytes of blobs that were handed on. */
  readonly bytes: Record<FetchClass, number> = { demand: 0, ahead: 0, trace: 0, fill: 0 };
  inFlight = 0;
  /** From the request to its header, and from the header to the end of the body. */
  readonly firstByte = new Histogram();
  readonly body = new Histogram();
}

export class Counters {
  readonly hosts = new Map<string, HostCounters>();
  /** Exchanges of tokens, by result: "granted", "anonymous", "refused", "failed". */
  readonly tokens: Record<string, number> = {};

  of(host: string): HostCounters {
    const name = this.hosts.has(host) || this.hosts.size < MAX_COUNTED_HOSTS ? host : 'other';
    let counters = this.hosts.get(name);
    if (!counters) this.hosts.set(name, (counters = new HostCounters()));
    return counters;
  }
}
