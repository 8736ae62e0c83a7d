// What runs for a blob: a blob is not released before all of it has ended.

import type { FetchBlob } from './fetch-blob.js';

export class BlobWork {
  readonly #running = new Map<FetchBlob, Set<Promise<void>>>();

  /** @param work never rejects */
  add(blob: FetchBlob, work: Promise<void>): void {
    const all = this.#running.get(blob) ?? new Set();
    this.#running.set(blob, all);
    const counted = work.finally(() => {
      all.delete(counted);
      if (all.size === 0) this.#running.delete(blob);
    });
    all.add(counted);
  }

  /** Also of work that is added meanwhile. */
  async end(blob: FetchBlob): Promise<void> {
    for (let all = this.#running.get(blob); all; all = this.#running.get(blob)) {
      await Promise.all(all);
    }
  }
}
