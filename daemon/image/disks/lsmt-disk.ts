// The merged disk of a stack of LSMT layers: a range of the disk to ranges of layers, in one
// pass over segments, holes and zeroed ranges.

import type { BlobSource } from '../../blob/source.js';
import type { Cursor, Disk, FileRange, ReadsTogether } from '../../lib/disk.js';
import { SECTOR } from '../../lsmt/format.js';
import type { LsmtIndex } from '../../lsmt/merged-index.js';
import {
  EXTENT_DATA,
  EXTENT_HOLE,
  EXTENT_ZEROED,
  NO_LAYER,
  type ExtentList,
} from '../../lib/extent-list.js';

/** Waits for all promises, then throws the error of the first one that failed. */
async function settled(promises: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(promises)) {
    if (outcome.status === 'rejected') throw outcome.reason;
  }
}

function announceTo(layer: BlobSource, from: number, n: number): void {
  layer.announce?.(from, n);
}

export class LsmtDisk implements Disk {
  readonly size: number;
  readonly isRemote: boolean;
  readonly together: ReadsTogether | undefined;
  readonly #index: LsmtIndex;
  readonly #layers: readonly BlobSource[];

  /** @param layers the plain bytes of each layer, bottom first */
  constructor(index: LsmtIndex, layers: readonly BlobSource[]) {
    this.size = index.virtualSize;
    this.#index = index;
    this.#layers = layers;
    this.isRemote = layers.some((layer) => !layer.isLocal);
    // All layers of a thread have the same.
    this.together = layers.find(({ together }) => together)?.together;
  }

  announce(offset: number, length: number): void {
    this.#forEachData(offset, length, announceTo);
  }

  read(offset: number, length: number, dst: Uint8Array, at: number, cursor: Cursor): boolean {
    const index = this.#index;
    const end = offset + length;
    let here = offset;
    let out = at;
    let i = index.find(Math.floor(offset / SECTOR), cursor.hint);
    while (here < end) {
      const begin = i < index.count ? index.offsetOf(i) * SECTOR : end;
      if (here < begin) {
        // A hole: no layer maps it.
        const n = Math.min(begin, end) - here;
        dst.fill(0, out, out + n);
        here += n;
        out += n;
        continue;
      }
      const n = Math.min(index.endOf(i) * SECTOR, end) - here;
      if (index.isZeroed(i)) {
        dst.fill(0, out, out + n);
      } else {
        const layer = this.#layers[index.layerOf(i)] as BlobSource;
        const from = index.moffsetOf(i) * SECTOR + (here - begin);
        if (!layer.read(from, n, dst, out)) return false;
      }
      cursor.hint = i++;
      here += n;
      out += n;
    }
    return true;
  }

  locate(offset: number, length: number, into: FileRange, cursor: Cursor): boolean {
    const index = this.#index;
    const end = offset + length;
    let i = index.find(Math.floor(offset / SECTOR), cursor.hint);
    if (i === index.count || index.isZeroed(i)) return false;
    const begin = index.offsetOf(i) * SECTOR;
    if (begin > offset) return false;
    const layer = index.layerOf(i);
    const from = index.moffsetOf(i) * SECTOR + (offset - begin);
    // A long run is several segments that follow each other in the disk and in the layer.
    while (index.endOf(i) * SECTOR < end) {
      const moffsetEnd = index.moffsetOf(i) + (index.endOf(i) - index.offsetOf(i));
      const deviceEnd = index.endOf(i++);
      const goesOn =
        i < index.count &&
        !index.isZeroed(i) &&
        index.layerOf(i) === layer &&
        index.offsetOf(i) === deviceEnd &&
        index.moffsetOf(i) === moffsetEnd;
      if (!goesOn) return false;
    }
    cursor.hint = i;
    return this.#layers[layer]?.locate?.(from, length, into) ?? false;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    // Called for every read; local layers need no lookup.
    if (!this.isRemote) return null;
    const waits: Promise<void>[] = [];
    this.#forEachData(offset, length, (layer, from, n) => {
      const wait = layer.ensure(from, n);
      if (wait) waits.push(wait);
    });
    return waits.length === 0 ? null : Promise.all(waits).then(() => undefined);
  }

  /** Loads all layers at once: together they take no longer than the slowest, within one deadline. */
  load(offset: number, length: number): Promise<void> {
    const loads: Promise<void>[] = [];
    this.#forEachRun(offset, length, (layer, from, n) => loads.push(layer.load(from, n)));
    const [first] = loads;
    // Most reads are of one layer: they need no promise around its own.
    return first && loads.length === 1 ? first : settled(loads);
  }

  async prefetch(offset: number, length: number): Promise<void> {
    const asked: Promise<void>[] = [];
    this.#forEachRun(offset, length, (layer, from, n) => asked.push(layer.prefetch(from, n)));
    await settled(asked);
  }

  askExtents(): null {
    return null;
  }

  extents(offset: number, length: number, into: ExtentList, cursor: Cursor): number {
    const index = this.#index;
    const end = offset + length;
    let at = offset;
    into.clear();
    const first = index.find(Math.floor(offset / SECTOR), cursor.hint);
    if (first < index.count) cursor.hint = first;
    for (let i = first; at < end; i++) {
      const begin = i < index.count ? index.offsetOf(i) * SECTOR : end;
      if (at < begin) {
        const holeEnd = Math.min(begin, end);
        if (!into.push(holeEnd - at, EXTENT_HOLE, NO_LAYER)) break;
        at = holeEnd;
        if (at === end) break;
      }
      const n = Math.min(index.endOf(i) * SECTOR, end) - at;
      const kind = index.isZeroed(i) ? EXTENT_ZEROED : EXTENT_DATA;
      if (!into.push(n, kind, index.layerOf(i), i)) break;
      at += n;
    }
    return at - offset;
  }

  /** As `#forEachData`, with parts that follow each other in one layer joined. */
  #forEachRun(
    offset: number,
    length: number,
    visit: (layer: BlobSource, from: number, n: number) => void,
  ): void {
    let run: { layer: BlobSource; from: number; n: number } | null = null;
    this.#forEachData(offset, length, (layer, from, n) => {
      if (run?.layer === layer && run.from + run.n === from) {
        run.n += n;
        return;
      }
      if (run) visit(run.layer, run.from, run.n);
      run = { layer, from, n };
    });
    const last = run as { layer: BlobSource; from: number; n: number } | null;
    if (last) visit(last.layer, last.from, last.n);
  }

  /** Visits the parts of a range that layers hold data for. */
  #forEachData(
    offset: number,
    length: number,
    visit: (layer: BlobSource, from: number, n: number) => void,
  ): void {
    const index = this.#index;
    const end = offset + length;
    for (let i = index.find(Math.floor(offset / SECTOR), 0); i < index.count; i++) {
      const begin = index.offsetOf(i) * SECTOR;
      if (begin >= end) return;
      if (index.isZeroed(i)) continue;
      const from = Math.max(begin, offset);
      const n = Math.min(index.endOf(i) * SECTOR, end) - from;
      const layer = this.#layers[index.layerOf(i)] as BlobSource;
      visit(layer, index.moffsetOf(i) * SECTOR + (from - begin), n);
    }
  }
}
