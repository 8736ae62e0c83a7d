// Finds all data extents of a sparse file, which are the index of a sparse upper.

import { OverlaybdError } from '../errors.js';
import type { Effort } from '../lib/effort.js';
import type { BlobSource } from './source.js';

/** An index of 256 MiB has this many entries; a file with more extents is refused. */
const MAX_EXTENTS = 16_777_216;
const FIRST_CAPACITY = 256;

/**
 * The data extents of a file from `offset` on, in order: start and end of each, in bytes.
 * @throws OverlaybdError IO when the file system cannot tell, SHORT_READ when the file was cut, and what
 *   the effort throws
 */
export async function findDataExtents(
  file: BlobSource,
  offset: number,
  effort: Effort,
): Promise<Float64Array> {
  const extents = new ExtentBuffer();
  for (let at = offset; at < file.size;) {
    const found = await file.dataRuns?.(at, file.size - at);
    if (!found) {
      throw new OverlaybdError(
        'IO',
        `${file.name}: its file system cannot tell where it has holes, which a sparse upper needs`,
        { facts: { blob: file.name, offset: at } },
      );
    }
    const { runs, end } = found;
    effort.spend(runs.length / 2);
    if (extents.count + runs.length / 2 > MAX_EXTENTS) {
      throw new OverlaybdError('LIMIT', `${file.name}: more than ${MAX_EXTENTS} data extents`, {
        facts: { blob: file.name, offset: at },
      });
    }
    for (let i = 0; i < runs.length; i += 2) {
      extents.push(runs[i] as number, runs[i + 1] as number);
    }
    at = Math.max(end, extents.end);
  }
  return extents.pairs;
}

/** 16 bytes an extent; objects would take five times as much. */
class ExtentBuffer {
  count = 0;
  #pairs = new Float64Array(2 * FIRST_CAPACITY);

  /** Where the last one ends. */
  get end(): number {
    return this.count === 0 ? 0 : (this.#pairs[2 * this.count - 1] as number);
  }

  get pairs(): Float64Array {
    return this.#pairs.subarray(0, 2 * this.count);
  }

  /** Appends an extent; one that begins where the last one ends makes that one longer. */
  push(begin: number, end: number): void {
    if (this.count > 0 && this.end === begin) {
      this.#pairs[2 * this.count - 1] = end;
      return;
    }
    if (2 * this.count === this.#pairs.length) {
      const larger = new Float64Array(2 * this.#pairs.length);
      larger.set(this.#pairs);
      this.#pairs = larger;
    }
    this.#pairs[2 * this.count] = begin;
    this.#pairs[2 * this.count + 1] = end;
    this.count++;
  }
}
