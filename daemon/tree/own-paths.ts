// Which paths a layer has entries for: a hash table of the numbers of its entries. The paths themselves stay in their column,
// outside of the heap.

import type { LayerTree } from './layer-tree.js';

/** Of FNV-1a with 32 bits. */
const HASH_PRIME = 0x0100_0193;

export class OwnPaths {
  readonly #layer: LayerTree;
  /** Numbers of entries plus 1; 0 is a free place. Half of the places are free. */
  readonly #places: Uint32Array;
  /** Random, so that the author of a layer cannot choose paths with equal hashes. */
  readonly #seed = Math.floor(Math.random() * 2 ** 32);

  /** Adds all entries that are not whiteouts. */
  constructor(layer: LayerTree) {
    this.#layer = layer;
    this.#places = new Uint32Array(placesFor(layer));
    for (let i = 0; i < layer.count; i++) {
      const type = layer.typeOf(i);
      if (type === 'whiteout' || type === 'opaque') continue;
      this.#places[this.#placeOf(layer.pathOf(i))] = i + 1;
    }
  }

  /** Bytes of memory that the table of a layer takes. */
  static memoryFor(layer: LayerTree): number {
    return Uint32Array.BYTES_PER_ELEMENT * placesFor(layer);
  }

  has(path: string): boolean {
    return this.#places[this.#placeOf(path)] !== 0;
  }

  /** Where the path is, or would be. */
  #placeOf(path: string): number {
    const mask = this.#places.length - 1;
    let place = hashOf(path, this.#seed) & mask;
    for (;;) {
      const entry = this.#places[place] as number;
      if (entry === 0 || this.#layer.pathOf(entry - 1) === path) return place;
      place = (place + 1) & mask;
    }
  }
}

function hashOf(path: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < path.length; i++) {
    hash = Math.imul(hash ^ path.charCodeAt(i), HASH_PRIME);
  }
  return Math.imul(hash ^ (hash >>> 15), HASH_PRIME) >>> 0;
}

function placesFor({ count }: LayerTree): number {
  return 2 ** Math.ceil(Math.log2(2 * count + 2));
}
