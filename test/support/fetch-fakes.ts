// A clock, blobs of a cache and a client of registries for tests of the fetcher: all of it happens when a test
// says so.

import { setImmediate as turn } from 'node:timers/promises';
import type { RegistryRef } from '../../daemon/blob/blob-ref.js';
import type { CachedSpec } from '../../daemon/blob/cached-source.js';
import { ChunkDigester, type ChunkDigests } from '../../daemon/blob/chunk-digests.js';
import { CHUNK_SIZE, ChunkMap, chunkLength } from '../../daemon/blob/chunk-map.js';
import { checkChunk } from '../../daemon/cache/chunk-check.js';
import type { CachedBlob, Completion } from '../../daemon/cache/cached-blob.js';
import { OverlaybdError } from '../../daemon/errors.js';
import type { CancelTimer, Clock } from '../../daemon/fetch/clock.js';
import { FetchBlob } from '../../daemon/fetch/fetch-blob.js';
import { Scheduler } from '../../daemon/fetch/scheduler.js';
import type { FetchClass, RangeRequest, TakeBytes } from '../../daemon/registry/http/client.js';

interface Timer {
  readonly at: number;
  readonly ring: () => void;
}

export class FakeClock implements Clock {
  #now = 1000;
  readonly #timers = new Set<Timer>();
  #soon: (() => void)[] = [];

  now(): number {
    return this.#now;
  }

  after(milliseconds: number, ring: () => void): CancelTimer {
    const timer = { at: this.#now + milliseconds, ring };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  soon(run: () => void): void {
    this.#soon.push(run);
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** Until nothing happens any more without time. @returns turns in which something did */
  async settle(): Promise<number> {
    for (let turns = 0; ; turns++) {
      await turn();
      const due = this.#soon;
      this.#soon = [];
      if (due.length === 0) return turns;
      for (const run of due) run();
    }
  }

  async pass(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    await this.settle();
    for (;;) {
      let next: Timer | null = null;
      for (const timer of this.#timers) if (timer.at <= (next?.at ?? end)) next = timer;
      if (!next) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.ring();
      await this.settle();
    }
    this.#now = end;
  }
}

let nextBlob = 1;

/** A blob of the cache, in memory. Its bytes follow from its digest and their place. */
export class FakeBlob implements CachedBlob {
  readonly ref: RegistryRef;
  readonly spec: CachedSpec;
  readonly map: ChunkMap;
  readonly chunks: number;
  #data: Buffer | null = null;
  readonly kept: Buffer;
  /** Chunks that another process is fetching. */
  readonly foreign = new Set<number>();
  /** Chunks that are there without a bit, as after a restart. */
  readonly claims = new Set<number>();
  readonly begun = new Set<number>();
  writes = 0;
  drops = 0;
  releases = 0;
  digests: ChunkDigests | null = null;
  generation: number | null = null;
  /** What `complete` says. */
  /** Why the cache does not keep all of it. */
  unkept: 'in memory' | 'failed' | null = null;
  isRight = true;

  /** @param known of an earlier blob, whose number and map it keeps */
  constructor(
    size: number,
    host = 'registry.example',
    name = `blob-${nextBlob}`,
    known: CachedSpec | null = null,
  ) {
    const digest = `sha256:${name}`;
    this.ref = { kind: 'registry', host, repository: 'repo', digest, size };
    this.map = known ? new ChunkMap(known.state, size) : ChunkMap.create(size);
    this.chunks = this.map.chunks;
    const blob = known?.blob ?? nextBlob;
    // A thread that goes on with the blobs of an earlier one must not give their numbers again.
    nextBlob = Math.max(nextBlob, blob + 1);
    const { state } = this.map;
    this.spec = { kind: 'cached', name: digest, digest, size, blob, fd: -1, slotsFd: -1, state };
    this.kept = Buffer.alloc(size);
  }

  /** Made when it is first asked for: many tests are about requests that nobody answers. */
  get data(): Buffer {
    if (this.#data) return this.#data;
    const { digest, size } = this.ref;
    this.#data = Buffer.alloc(size);
    for (let chunk = 0; chunk < this.chunks; chunk++) {
      const at = chunk * CHUNK_SIZE;
      this.#data.fill(`${digest} chunk ${chunk};`, at, Math.min(at + CHUNK_SIZE, size));
    }
    return this.#data;
  }

  get isCompared(): boolean {
    return this.map.isComplete || this.digests !== null;
  }

  setDigests(digests: ChunkDigests, generation: number | null): void {
    this.digests = digests;
    this.generation = generation;
  }

  present(chunk: number): Promise<boolean> {
    if (this.claims.delete(chunk)) {
      this.data.copy(this.kept, chunk * CHUNK_SIZE, chunk * CHUNK_SIZE, (chunk + 1) * CHUNK_SIZE);
      this.map.set(chunk);
    }
    return Promise.resolve(this.map.has(chunk));
  }

  begin(chunk: number): boolean {
    if (this.foreign.has(chunk)) return false;
    if (this.begun.has(chunk)) throw new Error(`chunk ${chunk} was begun twice`);
    this.begun.add(chunk);
    return true;
  }

  async write(chunk: number, bytes: Uint8Array): Promise<void> {
    if (this.digests) checkChunk(this.digests, this.spec, chunk, bytes);
    if (!this.begun.delete(chunk)) throw new Error(`chunk ${chunk} was not begun`);
    if (bytes.length !== chunkLength(this.spec.size, chunk)) throw new Error('a part of a chunk');
    this.writes++;
    // Late, as a disk would: the bytes must not change meanwhile.
    await turn();
    this.kept.set(bytes, chunk * CHUNK_SIZE);
    this.map.set(chunk);
  }

  giveUp(chunk: number): void {
    if (!this.begun.delete(chunk)) throw new Error(`chunk ${chunk} was not begun`);
  }

  drop(first: number, last: number): void {
    this.drops += last - first + 1;
    this.map.clear(first, last);
  }

  /** Of what it has now. */
  chunkDigests(): ChunkDigests {
    const digester = new ChunkDigester(this.spec.size);
    digester.update(this.data);
    return digester.digests;
  }

  complete(): Promise<Completion> {
    if (!this.map.hasAll(0, this.chunks - 1)) return Promise.resolve('missing');
    if (this.unkept) return Promise.resolve(this.unkept);
    this.map.setComplete(this.isRight);
    if (!this.isRight) this.map.clear(0, this.chunks - 1);
    return Promise.resolve(this.isRight ? 'complete' : 'wrong');
  }

  release(): void {
    if (this.begun.size > 0) throw new Error('released with chunks that were begun');
    this.releases++;
  }
}

/** A request that has not ended. */
export interface FakeRequest {
  readonly request: RangeRequest;
  readonly signal: AbortSignal;
  /** Sends that many bytes, or all that are left. */
  send(bytes?: number): void;
  /** Sends all that is left, and ends it. */
  answer(): void;
  /** @param host that is said to have given it: the registry if left out */
  end(host?: string): void;
  fail(error: Error): void;
}

class FakeClient {
  readonly #blobs: readonly FakeBlob[];
  /** Those that have not ended. */
  readonly open: FakeRequest[] = [];
  /** All, in the order in which they came. */
  readonly requests: RangeRequest[] = [];
  /** Hosts that answer at once. */
  readonly prompt = new Set<string>();
  bytes = 0;

  constructor(blobs: readonly FakeBlob[]) {
    this.#blobs = blobs;
  }

  fetchRange(request: RangeRequest, take: TakeBytes, signal: AbortSignal): Promise<string> {
    const blob = this.#blobs.find(({ ref }) => ref.digest === request.ref.digest);
    if (!blob) throw new Error(`no blob ${request.ref.digest}`);
    this.requests.push(request);
    return new Promise((resolve, reject) => {
      let at = request.first;
      const ended = (): void => void this.open.splice(this.open.indexOf(open), 1);
      const open: FakeRequest = {
        request,
        signal,
        send: (bytes = Infinity) => {
          const to = Math.min(at + bytes, request.last + 1);
          this.bytes += to - at;
          take(at, blob.data.subarray(at, to));
          at = to;
        },
        answer: () => {
          open.send();
          open.end();
        },
        end: (host = request.ref.host) => {
          ended();
          resolve(host);
        },
        fail: (error) => {
          ended();
          reject(error);
        },
      };
      this.open.push(open);
      if (this.prompt.has(request.ref.host)) open.answer();
    });
  }

  /** Those of one host. */
  of(host: string): FakeRequest[] {
    return this.open.filter(({ request }) => request.ref.host === host);
  }
}

export function remoteError(message = 'registry.example: 503'): OverlaybdError {
  return new OverlaybdError('REMOTE', message, {
    facts: { host: 'registry.example', status: 503 },
  });
}

/** A scheduler over blobs, and short words for what tests ask of it. */
export function scheduled(...blobs: FakeBlob[]) {
  const clock = new FakeClock();
  const client = new FakeClient(blobs);
  const scheduler = new Scheduler({
    client,
    clock,
    backgroundMs: () => 20_000,
    lastError: () => null,
  });
  const opened = blobs.map((blob) => new FetchBlob(blob.ref, blob));
  /** @returns what it ended with, in a list that is empty until then */
  const want = (
    blob: FetchBlob | undefined,
    first: number,
    last = first,
    fetchClass: FetchClass = 'demand',
    patience = 20_000,
    fromOrigin = false,
  ) => {
    if (!blob) throw new Error('no such blob');
    const results: (Error | null)[] = [];
    const deadline = clock.now() + patience;
    const done = (error: Error | null): void => void results.push(error);
    scheduler.want(blob, first, last, { class: fetchClass, deadline, fromOrigin, done });
    return results;
  };
  const ranges = () =>
    client.requests.map(({ first, last }) => [first / CHUNK_SIZE, (last + 1) / CHUNK_SIZE - 1]);
  return { clock, client, scheduler, opened, want, ranges };
}
