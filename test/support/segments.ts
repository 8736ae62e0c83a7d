// Indexes from rows of numbers, and back: what tests of merging and lookup write down.
import { buildIndex } from '../../daemon/lsmt/build-index.js';
import { EntryLog, META_ZEROED, ZEROED, entriesIn } from '../../daemon/lsmt/entry-log.js';
import { LsmtIndex } from '../../daemon/lsmt/merged-index.js';
import type { LsmtLayer } from '../../daemon/lsmt/layer.js';
import { UNBOUNDED } from '../../daemon/lib/effort.js';

/** Sectors; `moffset` may be ZEROED, and the layer is 0 when it is left out. */
export type Row = readonly [offset: number, length: number, moffset: number, layer?: number];

/** As large as a device can be. */
export const LARGEST = Number.MAX_SAFE_INTEGER;

/** A log of the rows, the earliest first; long ones are cut, as a writer has to. */
function logOf(rows: readonly Row[]): EntryLog {
  const log = new EntryLog(rows.reduce((sum, [, length]) => sum + entriesIn(length), 0));
  for (const [offset, length, moffset, layer = 0] of rows) {
    log.pushRange(offset, length, moffset, layer);
  }
  return log;
}

export function indexOf(rows: readonly Row[], virtualSize = LARGEST): LsmtIndex {
  return new LsmtIndex(buildIndex(logOf(rows), virtualSize, 'stack'));
}

/** The same, but what goes on where the row before ends stays a segment of its own. */
export function unjoinedIndexOf(rows: readonly Row[], virtualSize: number): LsmtIndex {
  // Nobody's data goes on behind another's as long as the index is built.
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

/** offset, length, moffset, layer of every segment. */
export function rowsOf(index: LsmtIndex): number[][] {
  return Array.from({ length: index.count }, (_, i) => [
    index.offsetOf(i),
    index.lengthOf(i),
    index.isZeroed(i) ? ZEROED : index.moffsetOf(i),
    index.layerOf(i),
  ]);
}

/** What one opened layer maps by itself, and the counts of its entries. */
export async function readLayer(
  layer: LsmtLayer,
): Promise<{ index: LsmtIndex; entries: number; paddingEntries: number }> {
  const log = new EntryLog(layer.capacity);
  const counts = await layer.readEntries(log, 0, UNBOUNDED);
  return { index: new LsmtIndex(buildIndex(log, LARGEST, 'layer')), ...counts };
}
