// Registries that gave no answer in time a moment ago: openings that have something to go on with need not wait for
// them one after the other.

import { monotonicMs } from '../lib/clock.js';

/** How long a host counts as silent. Shorter than it takes to look into it, long enough for a start with many images. */
const SILENT_MS = 5000;
/** Hosts that are remembered. */
const MAX_HOSTS = 256;

export class SilentHosts {
  readonly #now: () => number;
  /** Until when. */
  readonly #until = new Map<string, number>();

  constructor(now: () => number = monotonicMs) {
    this.#now = now;
  }

  has(host: string): boolean {
    return this.#now() < (this.#until.get(host) ?? -Infinity);
  }

  /** A host gave no answer in time. */
  add(host: string): void {
    this.#until.delete(host);
    this.#until.set(host, this.#now() + SILENT_MS);
    const [oldest] = this.#until.keys();
    if (this.#until.size > MAX_HOSTS && oldest !== undefined) this.#until.delete(oldest);
  }

  /** A host has answered. */
  delete(host: string): void {
    this.#until.delete(host);
  }
}
