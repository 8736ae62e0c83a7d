// The extents that make up a range of a device. The list is reusable and keeps its extents in typed
// arrays, so that a query allocates nothing. Units: bytes.

/** Bytes that a layer, or a raw image, stores. */
export const EXTENT_DATA = 0;
/** A layer marks these sectors as zeroed. They read as zeros and hide the layers below. */
export const EXTENT_ZEROED = 1;
/** No layer maps these sectors. They read as zeros. */
export const EXTENT_HOLE = 2;

/** `layer` of a hole. */
export const NO_LAYER = 255;

export class ExtentList {
  readonly capacity: number;
  count = 0;
  readonly lengths: Float64Array;
  /** EXTENT_DATA, EXTENT_ZEROED or EXTENT_HOLE. */
  readonly kinds: Uint8Array;
  /** Number of the layer, 0 at the bottom; {@link NO_LAYER} for holes. */
  readonly layers: Uint8Array;
  /** What `Cursor.hint` must be for a read that begins with the extent to find it at once. */
  readonly hints: Uint32Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.lengths = new Float64Array(capacity);
    this.kinds = new Uint8Array(capacity);
    this.layers = new Uint8Array(capacity);
    this.hints = new Uint32Array(capacity);
  }

  clear(): void {
    this.count = 0;
  }

  /**
   * Appends an extent, or extends the last one if it has the same kind and layer.
   * @returns false if the list is full
   */
  push(length: number, kind: number, layer: number, hint = 0): boolean {
    const last = this.count - 1;
    if (last >= 0 && this.kinds[last] === kind && this.layers[last] === layer) {
      this.lengths[last] = (this.lengths[last] as number) + length;
      return true;
    }
    if (this.count === this.capacity) return false;
    const i = this.count++;
    this.lengths[i] = length;
    this.kinds[i] = kind;
    this.layers[i] = layer;
    this.hints[i] = hint;
    return true;
  }
}
