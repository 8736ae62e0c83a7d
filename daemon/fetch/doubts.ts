// Chunks that an opening has read and could not make sense of: they are fetched once more, from the registry itself, if they may be
// other bytes than the registry's.

import { CHUNK_SIZE } from '../blob/chunk-map.js';
import { nameOf, type OpenBlob } from './blobs.js';
import type { RegistryRef } from '../blob/blob-ref.js';
import type { Clock } from './clock.js';
import { DOUBT_PAUSE_MS, MAX_DOUBTED_BLOBS } from './limits.js';
import type { ChunkRun } from './messages.js';
import { Refetched } from './refetched.js';
import { runsOf, type Refetcher } from './refetcher.js';
import type { RangeClient } from './transfer.js';

export interface DoubtParts {
  readonly refetcher: Refetcher;
  readonly client: RangeClient;
  readonly clock: Clock;
}

export class Doubts {
  readonly #parts: DoubtParts;
  /** By name, the one that was doubted first in front: a failed opening closes its blobs, and is tried again. */
  readonly #known = new Map<string, Refetched>();
  readonly #running = new Map<OpenBlob, Promise<boolean>>();

  constructor(parts: DoubtParts) {
    this.#parts = parts;
  }

  /** What is remembered of a blob that is opened again; null: nothing. */
  of(ref: RegistryRef): Refetched | null {
    return this.#known.get(nameOf(ref)) ?? null;
  }

  /** The registries may have other bytes now. @param open the blobs that are open */
  forget(open: Iterable<OpenBlob>): void {
    this.#known.clear();
    for (const blob of open) blob.forgetRefetched();
  }

  /**
   * Fetches chunks once more. Nothing is dropped before the registry has answered.
   * @returns whether any has come, or came a moment ago: it is worth to open again
   * @throws OverlaybdError what fetching throws, if none has come
   */
  fetchAgain(blob: OpenBlob, runs: readonly ChunkRun[], deadline: number): Promise<boolean> {
    let running = this.#running.get(blob);
    if (!running) {
      running = this.#fetchAll(blob, runs, deadline).finally(() => this.#running.delete(blob));
      this.#running.set(blob, running);
    }
    return running;
  }

  async #fetchAll(blob: OpenBlob, runs: readonly ChunkRun[], deadline: number): Promise<boolean> {
    // Nothing in it can be other bytes.
    if (blob.cached.isCompared) return false;
    const known = this.#of(blob);
    const parts = runs.map((run) => this.#split(blob, known, run));
    let isBetter = parts.some(({ isFresh }) => isFresh);
    const [first] = parts.flatMap(({ old }) => old);
    if (!first) return isBetter;
    await this.#reach(blob, first[0], deadline);
    for (const run of runs) {
      // Another reader may have had some of them fetched meanwhile.
      for (const [from, to] of this.#split(blob, known, run).old) {
        const failure = await this.#fetch(blob, known, from, to, deadline);
        if (!failure) isBetter = true;
        // The others stay as they are.
        else if (isBetter) return true;
        else throw failure;
      }
    }
    return isBetter;
  }

  /** @returns old: what is worth to be fetched. isFresh: some of it has just been */
  #split(
    blob: OpenBlob,
    known: Refetched,
    [first, last]: ChunkRun,
  ): { old: ChunkRun[]; isFresh: boolean } {
    const now = this.#parts.clock.now();
    const old: number[] = [];
    let isFresh = false;
    for (let chunk = first; chunk <= last; chunk++) {
      const verdicts = [blob.refetched, known].map((each) => each.verdict(chunk, now));
      if (verdicts.includes('again')) isFresh = true;
      if (verdicts.some((each) => each !== 'fetch') || blob.wanted.has(chunk)) continue;
      old.push(chunk);
    }
    return { old: runsOf(old), isFresh };
  }

  /** Asks the registry itself for one byte. */
  async #reach({ ref }: OpenBlob, chunk: number, deadlineMs: number): Promise<void> {
    const first = chunk * CHUNK_SIZE;
    const request = {
      ref,
      first,
      last: first,
      class: 'demand',
      deadlineMs,
      fromOrigin: true,
    } as const;
    await this.#parts.client.fetchRange(request, () => undefined, new AbortController().signal);
  }

  #fetch(
    blob: OpenBlob,
    known: Refetched,
    first: number,
    last: number,
    deadline: number,
  ): Promise<Error | null> {
    const memories = [blob.refetched, known];
    return new Promise((done) => {
      this.#parts.refetcher.fetch(blob, first, last, { deadline, memories, done });
    });
  }

  #of(blob: OpenBlob): Refetched {
    const name = nameOf(blob.ref);
    let known = this.#known.get(name);
    if (!known) this.#known.set(name, (known = new Refetched(DOUBT_PAUSE_MS)));
    blob.doubted = known;
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MAX_DOUBTED_BLOBS) break;
      this.#known.delete(oldest);
    }
    return known;
  }
}
