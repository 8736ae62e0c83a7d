// Finds objects by their digests, without anything on the heap: an image may have a million of them.

import { VERITY_DIGEST } from './fs-verity.js';

/**
 * Places that are looked at for an object. Digests are spread evenly, and half of the places are free: in 20 images with a million
 * objects each, all objects took 52 places or fewer. An object whose places are all taken is not found again: by chance, or as a
 * hostile image has digests that all belong to the same place. Its next file gets a second entry for it, which does no harm.
 */
const MAX_PROBES = 64;
const FIRST_SLOTS = 1024;

export class DigestIndex {
  /** The number of an entry, plus 1; 0: free. As many as a power of two. */
  #slots = new Uint32Array(FIRST_SLOTS);
  #count = 0;

  /**
   * @param digestAt where the digest is in `bytes`
   * @param digests of all entries, VERITY_DIGEST bytes each
   * @param lengths of all entries
   * @returns the entry with this digest and length; -1: there is none, as far as the index knows
   */
  find(
    bytes: Uint8Array,
    digestAt: number,
    length: number,
    digests: Uint8Array,
    lengths: Float64Array,
  ): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const first = wordAt(bytes, digestAt);
    for (let probe = 0; probe < MAX_PROBES; probe++) {
      const entry = (slots[(first + probe) & mask] as number) - 1;
      if (entry < 0) return -1;
      if (lengths[entry] !== length) continue;
      if (areSame(digests, entry * VERITY_DIGEST, bytes, digestAt)) return entry;
    }
    return -1;
  }

  /** Adds an entry whose digest is in the column. */
  add(entry: number, digests: Uint8Array): void {
    this.#count++;
    if (2 * this.#count > this.#slots.length) this.#grow(digests);
    insert(this.#slots, entry, digests);
  }

  #grow(digests: Uint8Array): void {
    const more = new Uint32Array(2 * this.#slots.length);
    for (const slot of this.#slots) if (slot > 0) insert(more, slot - 1, digests);
    this.#slots = more;
  }
}

/** If none of its places is free, the entry is not found again. */
function insert(slots: Uint32Array, entry: number, digests: Uint8Array): void {
  const mask = slots.length - 1;
  const first = wordAt(digests, entry * VERITY_DIGEST);
  for (let probe = 0; probe < MAX_PROBES; probe++) {
    const place = (first + probe) & mask;
    if (slots[place] !== 0) continue;
    slots[place] = entry + 1;
    return;
  }
}

function areSame(a: Uint8Array, atA: number, b: Uint8Array, atB: number): boolean {
  for (let i = 0; i < VERITY_DIGEST; i++) if (a[atA + i] !== b[atB + i]) return false;
  return true;
}

function wordAt(bytes: Uint8Array, at: number): number {
  const [a, b] = [bytes[at] as number, bytes[at + 1] as number];
  return a | (b << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
}
