// The ranges of data of a layer's files while its tree is built: a column for each number of a range.

import { uncountedColumns, type CountedColumns } from '../lib/counted-columns.js';
import type { DataRange } from './layer-tree.js';
import { MAX_LAYER_RANGES } from './limits.js';

export class RangeColumns {
  fileOffsets = new Float64Array(64);
  lengths = new Float64Array(64);
  sources = new Uint8Array(64);
  offsets = new Float64Array(64);
  count = 0;
  /** Content sources that ranges are in: the highest number and 1. */
  sourceCount = 0;
  readonly #columns: CountedColumns;

  /** @param columns announces their memory */
  constructor(columns = uncountedColumns()) {
    this.#columns = columns;
  }

  /**
   * Adds a range, or joins it to the last one if it continues that.
   * @param first the first range of the same file
   * @returns false if there are MAX_LAYER_RANGES already
   */
  push({ fileOffset, length, source, offset }: DataRange, first: number): boolean {
    const last = this.count - 1;
    const lastLength = this.lengths[last] ?? 0;
    if (
      last >= first &&
      this.sources[last] === source &&
      (this.fileOffsets[last] as number) + lastLength === fileOffset &&
      (this.offsets[last] as number) + lastLength === offset
    ) {
      this.lengths[last] = lastLength + length;
      return true;
    }
    const r = this.count;
    if (r === MAX_LAYER_RANGES) return false;
    this.fileOffsets = this.#columns.grown(this.fileOffsets, r);
    this.lengths = this.#columns.grown(this.lengths, r);
    this.sources = this.#columns.grown(this.sources, r);
    this.offsets = this.#columns.grown(this.offsets, r);
    this.fileOffsets[r] = fileOffset;
    this.lengths[r] = length;
    this.sources[r] = source;
    this.offsets[r] = offset;
    this.count = r + 1;
    this.sourceCount = Math.max(this.sourceCount, source + 1);
    return true;
  }

  /** Nothing is added any more. */
  finish(): void {
    this.fileOffsets = this.#columns.trimmed(this.fileOffsets, this.count);
    this.lengths = this.#columns.trimmed(this.lengths, this.count);
    this.sources = this.#columns.trimmed(this.sources, this.count);
    this.offsets = this.#columns.trimmed(this.offsets, this.count);
  }
}
