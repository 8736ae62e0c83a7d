// Drops chunks whose bytes are wrong, and has them fetched once more, from the registry itself: for reads, and for openings that
// fail.

import type { OpenBlob } from './blobs.js';
import type { Clock } from './clock.js';
import type { Refetched } from './refetched.js';
import type { Scheduler } from './scheduler.js';

export interface RefetchOptions {
  readonly deadline: number;
  /** Remember it, if the bytes come. */
  readonly memories: readonly Refetched[];
  /** Which chunks of the range are dropped; absent: all. */
  readonly isWrong?: (chunk: number) => boolean;
  /** Called once: null when all chunks of the range are present. */
  readonly done: (error: Error | null) => void;
}

export class Refetcher {
  readonly #scheduler: Scheduler;
  readonly #clock: Clock;
  /** Chunks that were dropped. */
  count = 0;

  constructor({ scheduler, clock }: { readonly scheduler: Scheduler; readonly clock: Clock }) {
    this.#scheduler = scheduler;
    this.#clock = clock;
  }

  fetch(blob: OpenBlob, first: number, last: number, options: RefetchOptions): void {
    const { deadline, memories, isWrong = () => true, done } = options;
    const dropped: number[] = [];
    for (let chunk = first; chunk <= last; chunk++) {
      // Until the chunk comes the reader waits for it; then it reads again.
      if (blob.wanted.has(chunk) || !isWrong(chunk)) continue;
      dropped.push(chunk);
    }
    for (const [from, to] of runsOf(dropped)) blob.cached.drop(from, to);
    this.count += dropped.length;
    this.#scheduler.want(blob, first, last, {
      class: 'demand',
      deadline,
      fromOrigin: true,
      done: (error) => {
        if (!error) for (const each of memories) each.fetched(dropped, this.#clock.now());
        done(error);
      },
    });
  }
}

/** @param chunks ascending */
export function runsOf(chunks: readonly number[]): [first: number, last: number][] {
  const runs: [number, number][] = [];
  for (const chunk of chunks) {
    const run = runs.at(-1);
    if (run?.[1] === chunk - 1) run[1] = chunk;
    else runs.push([chunk, chunk]);
  }
  return runs;
}
