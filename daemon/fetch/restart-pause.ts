// How long to wait before a thread that has died is started again: longer each time, and the shortest pause again after
// a thread has run for a while. Pure.

import { MAX_RESTART_MS, RESTART_MS, STEADY_MS } from './limits.js';

export class RestartPause {
  #nextMs = RESTART_MS;

  /** @param ranMs how long the thread that has died has run */
  next(ranMs: number): number {
    const pauseMs = ranMs > STEADY_MS ? RESTART_MS : this.#nextMs;
    this.#nextMs = Math.min(pauseMs * 2, MAX_RESTART_MS);
    return pauseMs;
  }
}
