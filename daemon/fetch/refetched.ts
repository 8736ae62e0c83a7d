// Chunks that were fetched once more because their bytes were wrong: which of them may be asked for again, and which are fetched from
// the registry itself until then. Pure.

import { REFETCH_PAUSE_MS, REFETCH_GRACE_MS, MAX_REFETCHED } from './limits.js';

export class Refetched {
  /** When a chunk was fetched again, the oldest first. */
  readonly #times = new Map<number, number>();
  readonly #pauseMs: number;

  constructor(pauseMs = REFETCH_PAUSE_MS) {
    this.#pauseMs = pauseMs;
  }

  /**
   * What to do with a chunk whose bytes a reader calls wrong.
   * @returns fetch: drop it and fetch it from the registry itself. again: it has just been, and the reader may
   *   have read it before that. refuse: the registry's own bytes are wrong
   */
  verdict(chunk: number, now: number): 'fetch' | 'again' | 'refuse' {
    const at = this.#times.get(chunk);
    if (at === undefined || now - at >= this.#pauseMs) return 'fetch';
    return now - at < REFETCH_GRACE_MS ? 'again' : 'refuse';
  }

  /** Whether it was fetched again so recently that the bytes of a mirror would make its verdict a lie. */
  isRecent(chunk: number, now: number): boolean {
    return this.verdict(chunk, now) !== 'fetch';
  }

  /** The bytes of a chunk are others now, and perhaps not the registry's own. */
  forget(chunk: number): void {
    this.#times.delete(chunk);
  }

  /** The chunks came from the registry itself. */
  fetched(chunks: Iterable<number>, now: number): void {
    for (const chunk of chunks) {
      this.#times.delete(chunk);
      this.#times.set(chunk, now);
    }
    for (const chunk of this.#times.keys()) {
      if (this.#times.size <= MAX_REFETCHED) return;
      this.#times.delete(chunk);
    }
  }
}
