// Counters of the network for each host: plain numbers that metrics and status read. Hosts are bounded.

import { Histogram } from '../../lib/histogram.js';
import type { FetchClass } from './range-request.js';

/** Hosts that are counted by name; all further ones share "other". */
export const MAX_COUNTED_HOSTS = 256;

/** Statuses of a kind of requests of a host that are counted by number; all further ones by their hundreds ("4xx"). */
export const MAX_COUNTED_STATUSES = 32;

/** What a host is asked for: it may serve manifests and fail at blobs. A store is where a registry redirects to. */
export type HostKind = 'manifest' | 'blob' | 'store' | 'token';

/** What a connection takes: to find the address of its host, to connect, to agree on keys. */
export type ConnectPhase = 'dns' | 'connect' | 'tls';
/**
 * first_byte: from the request to its header, a connection that had to be made included; body: from the header to the
 * end of the body.
 */
export type RequestPhase = ConnectPhase | 'first_byte' | 'body';

export class HostCounters {
  /** By HTTP status ("206", or "2xx" if a host has many), or by "connect", "timeout", "reset", "tls", "malformed" if there was none. */
  readonly requests: Readonly<Record<HostKind, Record<string, number>>> = {
    manifest: {},
    blob: {},
    store: {},
    token: {},
  };
  /** Bytes of blobs that were handed on. */
  readonly bytes: Record<FetchClass, number> = { demand: 0, ahead: 0, trace: 0, fill: 0 };
  inFlight = 0;
  readonly seconds: Readonly<Record<RequestPhase, Histogram>> = {
    dns: new Histogram(),
    connect: new Histogram(),
    tls: new Histogram(),
    first_byte: new Histogram(),
    body: new Histogram(),
  };
}

export function countRequest({ requests }: HostCounters, kind: HostKind, status: string): void {
  const counts = requests[kind];
  const isFull = counts[status] === undefined && Object.keys(counts).length >= MAX_COUNTED_STATUSES;
  // A host may send any number as its status. The names of failures are few.
  const name = isFull && /^\d/.test(status) ? `${status.slice(0, 1)}xx` : status;
  counts[name] = (counts[name] ?? 0) + 1;
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
