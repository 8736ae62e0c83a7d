// Chunks that were fetched before a read wanted them, and whether they were read or evicted unread.

import type { ChunkMap } from '../blob/chunk-map.js';
import type { FetchClass } from '../registry/http/client.js';

/** Bytes of one class. Both only grow. */
export interface Prefetch {
  used: number;
  unused: number;
}

export type PrefetchTotals = Record<Exclude<FetchClass, 'demand'>, Prefetch>;

export function noPrefetch(): PrefetchTotals {
  return {
    ahead: { used: 0, unused: 0 },
    trace: { used: 0, unused: 0 },
    fill: { used: 0, unused: 0 },
  };
}

/** Numbers of classes in {@link Prefetched}; 0: the chunk is not followed. */
const CLASS_OF = [null, 'ahead', 'trace', 'fill'] as const;

/** The chunks of one blob. */
export class Prefetched {
  readonly #map: ChunkMap;
  readonly #totals: PrefetchTotals;
  readonly #bytesOf: (chunk: number) => number;
  /** By chunk, the number of its class; none before the first chunk. */
  #classes: Uint8Array | null = null;
  #followed = 0;

  /** @param totals of all blobs */
  constructor(map: ChunkMap, totals: PrefetchTotals, bytesOf: (chunk: number) => number) {
    this.#map = map;
    this.#totals = totals;
    this.#bytesOf = bytesOf;
  }

  /** A chunk has come. */
  arrived(chunk: number, fetchClass: FetchClass): void {
    // What came before may have been evicted.
    if (this.#followed > 0) this.#settle(chunk);
    if (fetchClass === 'demand') return;
    this.#classes ??= new Uint8Array(this.#map.chunks);
    this.#classes[chunk] = CLASS_OF.indexOf(fetchClass);
    this.#followed++;
    this.#map.setFresh(chunk);
  }

  /** Counts used and evicted chunks. @param all the blob is closed: no read will use the rest */
  settle(all = false): void {
    if (this.#followed === 0 || !this.#classes) return;
    for (let chunk = 0; chunk < this.#classes.length; chunk++) this.#settle(chunk, all);
  }

  #settle(chunk: number, all = false): void {
    const fetchClass = CLASS_OF[this.#classes?.[chunk] ?? 0];
    if (!fetchClass || !this.#classes) return;
    const isFresh = this.#map.isFresh(chunk);
    if (isFresh && !all && this.#map.has(chunk)) return;
    // Reads of a complete blob leave no mark, so it is unknown whether the chunk was read.
    const isKnown = !isFresh || !this.#map.isComplete;
    if (isKnown) this.#totals[fetchClass][isFresh ? 'unused' : 'used'] += this.#bytesOf(chunk);
    this.#classes[chunk] = 0;
    this.#followed--;
  }
}
