// How much of V8's heap the layers of one image may take together: those that are open, and those that are being read. Only
// counts: each reader announces what it is about to keep.

/**
 * Bytes of the heap for what the layers of an image have there, those that are being read among them, and then for its directories
 * and names while the layers are merged, including those that upper layers hide again: half of the heap of the opener thread.
 * 2,000,000 names of 20 bytes take 145 MiB.
 */
export const MAX_TREE_HEAP = 192 * 1024 * 1024;

export class HeapBudget {
  /** Bytes at most, of all parts together. */
  readonly most: number;
  readonly #whole: HeapBudget | null;
  #taken = 0;

  constructor(most = MAX_TREE_HEAP, whole: HeapBudget | null = null) {
    this.most = most;
    this.#whole = whole;
  }

  /** A part for one layer: what it takes counts in the whole, and can be given back at once. */
  part(): HeapBudget {
    return new HeapBudget(this.most, this);
  }

  /**
   * To be called before something is kept on the heap.
   * @param bytes below 0: they are free again
   * @returns false if it is too much
   */
  take(bytes: number): boolean {
    this.#taken += bytes;
    return this.#whole ? this.#whole.take(bytes) : this.#taken <= this.most;
  }

  /** From now on it has as many bytes, whatever was taken before. @returns false if it is too much */
  settle(bytes: number): boolean {
    return this.take(bytes - this.#taken);
  }
}
