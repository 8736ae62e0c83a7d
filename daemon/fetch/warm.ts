// Fetches whole blobs, a few at the same time, and reports how far it has come.

import type { RegistryRef } from '../blob/blob-ref.js';
import { mapEach } from '../lib/gate.js';
import { FILL_BLOBS, PROGRESS_MS } from './limits.js';
import type { WarmProgress } from './messages.js';

/** Called with the bytes of each run that is in the cache now. @param wasThere whether it was before */
export type Fetched = (bytes: number, wasThere: boolean) => void;

export class Warming {
  readonly #refs: readonly RegistryRef[];
  readonly #tell: (progress: WarmProgress) => void;
  readonly #now: () => number;
  readonly #total: number;
  #bytes = 0;
  #cached = 0;
  #toldAt = -Infinity;

  /** @param now milliseconds of a clock that never goes back */
  constructor(
    refs: readonly RegistryRef[],
    tell: (progress: WarmProgress) => void,
    now: () => number,
  ) {
    this.#refs = refs;
    this.#tell = tell;
    this.#now = now;
    this.#total = refs.reduce((sum, { size }) => sum + size, 0);
  }

  get progress(): WarmProgress {
    return { bytes: this.#bytes, total: this.#total, cached: this.#cached };
  }

  /** @param fill fetches one blob. @throws what it throws */
  async run(fill: (ref: RegistryRef, fetched: Fetched) => Promise<void>): Promise<WarmProgress> {
    await mapEach(this.#refs, FILL_BLOBS, (ref) =>
      fill(ref, (bytes, wasThere) => this.#fetched(bytes, wasThere)),
    );
    return this.progress;
  }

  #fetched(bytes: number, wasThere: boolean): void {
    this.#bytes += bytes;
    if (wasThere) this.#cached += bytes;
    if (this.#now() - this.#toldAt < PROGRESS_MS) return;
    this.#toldAt = this.#now();
    this.#tell(this.progress);
  }
}
