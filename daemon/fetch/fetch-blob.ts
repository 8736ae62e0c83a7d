// What the scheduler knows of one open blob: the chunks that are wanted, and the readers that wait for them.

import type { RegistryRef } from '../blob/blob-ref.js';
import { CHUNK_SIZE } from '../blob/chunk-map.js';
import type { CachedBlob } from '../cache/cached-blob.js';
import type { OverlaybdError } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import type { FetchClass } from '../registry/http/client.js';
import { Prefetched, type PrefetchTotals } from './prefetched.js';
import { ReadAhead } from './read-ahead.js';

/** From the most urgent to the least. */
export const CLASSES: readonly FetchClass[] = ['demand', 'ahead', 'trace', 'fill'];

/** 0 is the most urgent. */
export function rankOf(fetchClass: FetchClass): number {
  return CLASSES.indexOf(fetchClass);
}

/** A range of chunks that a read or a command waits for. */
export interface Wait {
  readonly blob: FetchBlob;
  /** Both included. */
  readonly first: number;
  readonly last: number;
  readonly class: FetchClass;
  readonly since: number;
  /** Infinity: it waits as long as it takes. */
  readonly deadline: number;
  /** Chunks that have not come. */
  missing: number;
  /** null when it was called. */
  done: ((error: Error | null) => void) | null;
}

/**
 * checking: the cache is asked whether it has the chunk; queued: for a transfer; fetching: a transfer has it;
 * elsewhere: another process fetches it.
 */
export type ChunkState = 'checking' | 'queued' | 'fetching' | 'elsewhere';

/** The last moment at which a transfer of these chunks is of use; null: they may take as long as it takes. */
export function latestDeadline(chunks: readonly WantedChunk[]): number | null {
  let latest = -Infinity;
  for (const { waits } of chunks) {
    for (const { deadline } of waits) {
      if (deadline < Infinity) latest = Math.max(latest, deadline);
    }
  }
  return latest > -Infinity ? latest : null;
}

/** Chunks that wait for a transfer; add and remove them in pairs around a change of class. */
export interface ChunkQueue {
  add(wanted: WantedChunk): void;
  remove(wanted: WantedChunk): void;
}

/** A chunk that is not present and that someone waits for: there is one of each, however many wait. */
export interface WantedChunk {
  readonly blob: FetchBlob;
  readonly chunk: number;
  /** Past mirrors: its bytes were wrong before. */
  fromOrigin: boolean;
  state: ChunkState;
  /** The most urgent of its waits. */
  class: FetchClass;
  /** Where it is queued. */
  host: ChunkQueue | null;
  /** Whether this process has the right to fetch it (CachedBlob.begin). */
  isBegun: boolean;
  /** Repositories that have refused it. */
  refusals: number;
  readonly waits: Set<Wait>;
}

export class FetchBlob {
  readonly cached: CachedBlob;
  readonly chunks: number;
  readonly size: number;
  readonly readAhead: ReadAhead;
  readonly wanted = new Map<number, WantedChunk>();
  /** Transfers. */
  inFlight = 0;
  /** Reads that wait. */
  waiting = 0;
  /** Chunks of read-ahead that are queued or on their way. */
  ahead = 0;
  /** Why the last transfer failed. */
  lastError: string | null = null;
  readonly #refs: RegistryRef[];
  #prefetched: Prefetched | null = null;

  constructor(ref: RegistryRef, cached: CachedBlob) {
    this.cached = cached;
    this.chunks = cached.chunks;
    this.size = cached.spec.size;
    this.readAhead = new ReadAhead(this.chunks);
    this.#refs = [ref];
  }

  /** Whether a chunk is fetched past mirrors, whoever wants it: one of them may have had it wrong, and may have it wrong again. */
  isOriginOnly(_chunk: number, _now: number): boolean {
    return false;
  }

  /** Another process has fetched a chunk, perhaps from a mirror. */
  cameFromElsewhere(_chunk: number, _now: number): void {
    // Of a blob that nobody doubts, that means nothing.
  }

  /** @param totals of all blobs, to which it adds */
  prefetched(totals: PrefetchTotals): Prefetched {
    const bytesOf = (chunk: number): number => this.bytesOf(chunk, chunk);
    return (this.#prefetched ??= new Prefetched(this.cached.map, totals, bytesOf));
  }

  /** Counts which prefetched chunks were used or evicted. @param all the blob is closed */
  settlePrefetched(all = false): void {
    this.#prefetched?.settle(all);
  }

  /** Where it is fetched from. */
  get ref(): RegistryRef {
    const [ref] = this.#refs;
    if (!ref) throw new Error('a blob without a name');
    return ref;
  }

  /** Another repository has the same bytes. */
  alsoAt(ref: RegistryRef): void {
    const isKnown = this.#refs.some(
      ({ host, repository }) => host === ref.host && repository === ref.repository,
    );
    if (!isKnown && this.#refs.length < MAX_REPOSITORIES) this.#refs.push(ref);
  }

  get repositories(): number {
    return this.#refs.length;
  }

  /** Fetches from the next repository from now on, if that is still the one that refused. */
  refusedBy(ref: RegistryRef): void {
    if (this.#refs[0] !== ref) return;
    this.#refs.shift();
    this.#refs.push(ref);
  }

  bytesOf(first: number, last: number): number {
    return Math.min((last + 1) * CHUNK_SIZE, this.size) - first * CHUNK_SIZE;
  }

  /** @param why a host has failed last; null: it has not */
  lateError(first: number, last: number, waitedMs: number, why: string | null): OverlaybdError {
    const { host, digest } = this.ref;
    const range = this.rangeOf(first, last);
    const seconds = Math.round(waitedMs / 100) / 10;
    const what = `bytes ${range} did not come from ${host} within ${seconds} s`;
    const facts = { blob: this.cached.spec.name, host, failure: 'late', digest, range, seconds };
    return errorOf('REMOTE', facts, why === null ? what : `${what}; the last error: ${why}`);
  }

  /** "65536-131071": both are included. */
  rangeOf(first: number, last: number): string {
    return `${first * CHUNK_SIZE}-${Math.min((last + 1) * CHUNK_SIZE, this.size) - 1}`;
  }
}

/** Repositories that are remembered of one blob. */
const MAX_REPOSITORIES = 16;
