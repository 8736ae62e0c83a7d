// Chunks that were fetched once more because their bytes were wrong: which of them may be asked for again, and which are fetched from
// the registry itself until then. Pure.

import { REFETCH_PAUSE_MS, REFETCH_GRACE_MS, MAX_REFETCHED } from './limits.js';

export class Refetched {
  /** When a chunk was fetched again, the oldest first. */
  readonly #times = new Map<number, number>();
  /** When a chunk was fetched by another process after that, the oldest first. */
  readonly #excused = new Map<number, number>();
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

  /**
   * Another process has fetched a chunk, perhaps from a mirror: it may be fetched once more. Only once in the pause: if the
   * registry's own bytes are wrong, two processes would fetch them for each other without end.
   */
  cameFromElsewhere(chunk: number, now: number): void {
    const at = this.#excused.get(chunk);
    if (!this.#times.has(chunk) || (at !== undefined && now - at < this.#pauseMs)) return;
    this.#times.delete(chunk);
    setLatest(this.#excused, chunk, now);
  }

  /** The registries may have other bytes now. */
  clear(): void {
    this.#times.clear();
    this.#excused.clear();
  }

  /** The chunks came from the registry itself. */
  fetched(chunks: Iterable<number>, now: number): void {
    for (const chunk of chunks) setLatest(this.#times, chunk, now);
  }
}

function setLatest(times: Map<number, number>, chunk: number, now: number): void {
  times.delete(chunk);
  times.set(chunk, now);
  for (const oldest of times.keys()) {
    if (times.size <= MAX_REFETCHED) return;
    times.delete(oldest);
  }
}
