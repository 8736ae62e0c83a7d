// Indexes from rows of numbers, and back, as tests of merging and lookup write them.
import { deepStrictEqual as deepEqual } from 'node:assert/strict';
import { buildIndex } from '../../daemon/lsmt/build-index.js';
import { EntryLog, META_ZEROED, ZEROED, entriesIn } from '../../daemon/lsmt/entry-log.js';
import { LsmtIndex } from '../../daemon/lsmt/merged-index.js';
import type { LsmtLayer } from '../../daemon/lsmt/layer.js';
import { UNBOUNDED } from '../../daemon/lib/effort.js';

/** In sectors; `moffset` may be ZEROED, and the layer is 0 if it is left out. */
export type Row = readonly [offset: number, length: number, moffset: number, layer?: number];

/** The largest possible disk. */
export const LARGEST = Number.MAX_SAFE_INTEGER;

/** A log of the rows, the earliest first; long rows are split, as a writer must do. */
function logOf(rows: readonly Row[]): EntryLog {
  const log = new EntryLog(rows.reduce((sum, [, length]) => sum + entriesIn(length), 0));
  for (const [offset, length, moffset, layer = 0] of rows) {
    log.pushRange(offset, length, moffset, layer);
  }
  return log;
}

export function indexOf(rows: readonly Row[], virtualSize = LARGEST): LsmtIndex {
  const index = buildIndex(logOf(rows), virtualSize, 'stack');
  // A long log is built in another way, over itself.
  deepEqual(buildIndex(logOf(rows), virtualSize, 'stack', 0), index);
  return new LsmtIndex(index);
}

/** The same, but adjacent rows stay separate segments. */
export function unjoinedIndexOf(rows: readonly Row[], virtualSize: number): LsmtIndex {
  // While the index is built, no data continues that of another row.
  const apart = rows.map(([offset, length, , layer = 0], i): Row => [
    offset,
    length,
    i * 2 ** 20,
    layer,
  ]);
  const index = indexOf(apart, virtualSize);
  rows.forEach(([, , moffset], i) => {
    index.data.moffsets[i] = moffset;
    if (moffset === ZEROED) index.data.meta[i] = (index.data.meta[i] as number) | META_ZEROED;
  });
  return index;
}

/** Offset, length, moffset and layer of every segment. */
export function rowsOf(index: LsmtIndex): number[][] {
  return Array.from({ length: index.count }, (_, i) => [
    index.offsetOf(i),
    index.lengthOf(i),
    index.isZeroed(i) ? ZEROED : index.moffsetOf(i),
    index.layerOf(i),
  ]);
}

/** The segments of one opened layer, and the counts of its entries. */
export async function readLayer(
  layer: LsmtLayer,
): Promise<{ index: LsmtIndex; entries: number; paddingEntries: number }> {
  const log = new EntryLog(layer.capacity);
  const counts = await layer.readEntries(log, 0, UNBOUNDED);
  return { index: new LsmtIndex(buildIndex(log, LARGEST, 'layer')), ...counts };
}
