// Chunks that other processes of the machine are fetching into the same cache: looks now and then whether they
// have come, or whether the other one has given up.

import type { Clock } from './clock.js';
import type { WantedChunk } from './fetch-blob.js';
import { ELSEWHERE_POLL_MS, ELSEWHERE_POLLED } from './limits.js';

export interface ElsewhereReports {
  readonly arrived: (wanted: WantedChunk) => void;
  /** The other process has given up: this one may fetch it. */
  readonly ours: (wanted: WantedChunk) => void;
}

export class Elsewhere {
  readonly #clock: Clock;
  readonly #reports: ElsewhereReports;
  /** The one that was looked at last comes last. */
  readonly #chunks = new Set<WantedChunk>();
  #isWatching = false;

  constructor(clock: Clock, reports: ElsewhereReports) {
    this.#clock = clock;
    this.#reports = reports;
  }

  get size(): number {
    return this.#chunks.size;
  }

  add(wanted: WantedChunk): void {
    this.#chunks.add(wanted);
    this.#setTimer();
  }

  delete(wanted: WantedChunk): void {
    this.#chunks.delete(wanted);
  }

  #setTimer(): void {
    if (this.#isWatching || this.#chunks.size === 0) return;
    this.#isWatching = true;
    this.#clock.after(ELSEWHERE_POLL_MS, () => void this.#look());
  }

  async #look(): Promise<void> {
    const polled: WantedChunk[] = [];
    for (const wanted of this.#chunks) {
      if (polled.length === ELSEWHERE_POLLED) break;
      polled.push(wanted);
    }
    await Promise.all(polled.map((wanted) => this.#lookAt(wanted)));
    this.#isWatching = false;
    this.#setTimer();
  }

  async #lookAt(wanted: WantedChunk): Promise<void> {
    const { cached } = wanted.blob;
    const isPresent = await cached.present(wanted.chunk).catch(() => false);
    // Its readers may have given up meanwhile.
    if (!this.#chunks.has(wanted)) return;
    if (isPresent) {
      this.#chunks.delete(wanted);
      this.#reports.arrived(wanted);
    } else if (cached.begin(wanted.chunk)) {
      wanted.isBegun = true;
      this.#chunks.delete(wanted);
      this.#reports.ours(wanted);
    } else {
      this.#chunks.delete(wanted);
      this.#chunks.add(wanted);
    }
  }
}
