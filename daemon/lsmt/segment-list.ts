// A growable list of segments in LBA order, as typed arrays: what layers are parsed into and
// merging works on. The form that reads look into is LsmtIndex (index.ts).

/** `moffset` of a zeroed segment in a list. */
export const ZEROED = -1;

const FIRST_CAPACITY = 64;
/** A joined segment stays below this many sectors, so that its length fits a u32. */
const MAX_JOINED_LENGTH = 0xffff_ffff;

/** Units: sectors. Arrays may be longer than `count`. */
export class SegmentList {
  count = 0;
  offsets: Float64Array;
  lengths: Uint32Array;
  /** Where the data begins in the layer's plain bytes, or {@link ZEROED}. */
  moffsets: Float64Array;
  layers: Uint8Array;

  constructor(capacity = FIRST_CAPACITY) {
    const size = Math.max(1, capacity);
    this.offsets = new Float64Array(size);
    this.lengths = new Uint32Array(size);
    this.moffsets = new Float64Array(size);
    this.layers = new Uint8Array(size);
  }

  /** Appends a segment, which must not begin before the end of the last one. */
  push(offset: number, length: number, moffset: number, layer: number): void {
    if (this.count === this.offsets.length) this.#grow();
    const i = this.count++;
    this.offsets[i] = offset;
    this.lengths[i] = length;
    this.moffsets[i] = moffset;
    this.layers[i] = layer;
  }

  /** Appends, or makes the last segment longer when the new one goes on where that one ends. */
  pushJoined(offset: number, length: number, moffset: number, layer: number): void {
    const i = this.count - 1;
    if (i >= 0 && this.layers[i] === layer) {
      const lastLength = this.lengths[i] as number;
      const lastMoffset = this.moffsets[i] as number;
      const adjacent = (this.offsets[i] as number) + lastLength === offset;
      const continues =
        moffset === ZEROED
          ? lastMoffset === ZEROED
          : lastMoffset !== ZEROED && lastMoffset + lastLength === moffset;
      if (adjacent && continues && lastLength + length <= MAX_JOINED_LENGTH) {
        this.lengths[i] = lastLength + length;
        return;
      }
    }
    this.push(offset, length, moffset, layer);
  }

  #grow(): void {
    const size = this.offsets.length * 2;
    this.offsets = extend(new Float64Array(size), this.offsets);
    this.lengths = extend(new Uint32Array(size), this.lengths);
    this.moffsets = extend(new Float64Array(size), this.moffsets);
    this.layers = extend(new Uint8Array(size), this.layers);
  }
}

function extend<T extends Float64Array | Uint32Array | Uint8Array>(to: T, from: T): T {
  to.set(from);
  return to;
}
