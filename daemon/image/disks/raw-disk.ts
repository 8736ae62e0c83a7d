// A disk without layers: a raw disk image, plain or decompressed from a ZFile.

import type { BlobSource } from '../../blob/source.js';
import type { Cursor, DataRuns, Disk, FileRange } from '../../lib/disk.js';
import { EXTENT_DATA, EXTENT_HOLE, NO_LAYER, type ExtentList } from '../../lib/extent-list.js';

export class RawDisk implements Disk {
  readonly size: number;
  readonly #source: BlobSource;
  /** A run found to be data, so that reads of a file without holes need not ask again. */
  #dataBegin = 0;
  #dataEnd = 0;

  constructor(source: BlobSource) {
    this.size = source.size;
    this.#source = source;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    return this.#source.ensure(offset, length);
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    return this.#source.read(offset, length, dst, at);
  }

  locate(offset: number, length: number, into: FileRange): boolean {
    return this.#source.locate?.(offset, length, into) ?? false;
  }

  load(offset: number, length: number): Promise<void> {
    return this.#source.load(offset, length);
  }

  prefetch(offset: number, length: number): Promise<void> {
    return this.#source.prefetch(offset, length);
  }

  /** Asks a sparse file for its holes; any other source is data. */
  askExtents(offset: number, length: number): Promise<DataRuns> | null {
    const source = this.#source;
    if (!source.dataRuns) return null;
    return source.dataRuns(offset, length).then(
      (found) =>
        found ?? {
          begin: offset,
          runs: Float64Array.of(offset, offset + length),
          end: offset + length,
        },
    );
  }

  /**
   * Data may be remembered, holes are asked for every time: reading a hole as data is slow, taking data
   * for a hole is wrong.
   */
  extents(
    offset: number,
    length: number,
    into: ExtentList,
    _cursor: Cursor,
    runs: DataRuns | null,
  ): number {
    into.clear();
    if (runs && runs.begin <= offset && offset < runs.end) {
      return this.#describe(offset, Math.min(offset + length, runs.end), into, runs);
    }
    const known = this.#source.dataRuns
      ? offset >= this.#dataBegin && offset < this.#dataEnd
        ? Math.min(this.#dataEnd - offset, length)
        : 0
      : length;
    if (known > 0) into.push(known, EXTENT_DATA, 0);
    return known;
  }

  #describe(offset: number, end: number, into: ExtentList, { runs }: DataRuns): number {
    let at = offset;
    for (let i = 0; i < runs.length && at < end; i += 2) {
      const begin = runs[i] as number;
      const dataEnd = runs[i + 1] as number;
      if (dataEnd <= at) continue;
      if (begin >= end) break;
      if (begin > at) {
        if (!into.push(begin - at, EXTENT_HOLE, NO_LAYER)) return at - offset;
        at = begin;
      }
      this.#remember(at, dataEnd);
      const n = Math.min(dataEnd, end) - at;
      if (!into.push(n, EXTENT_DATA, 0)) return at - offset;
      at += n;
    }
    if (at < end && into.push(end - at, EXTENT_HOLE, NO_LAYER)) at = end;
    return at - offset;
  }

  /** Extends the remembered run if this one continues it, else replaces it. */
  #remember(begin: number, end: number): void {
    const goesOn = begin <= this.#dataEnd && end >= this.#dataBegin;
    this.#dataBegin = goesOn ? Math.min(this.#dataBegin, begin) : begin;
    this.#dataEnd = goesOn ? Math.max(this.#dataEnd, end) : end;
  }
}
