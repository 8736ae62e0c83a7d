// The target of a layer: another source that its index maps ranges of. It may lack the end of its last sector, as an archive does
// that ends with the last byte of its last file.

import { META_LAYER_SHIFT, META_ZEROED, type EntryLog } from './entry-log.js';
import { SECTOR } from './format.js';

export interface LsmtTarget {
  /** Bytes, with the zeros that fill its last sector. */
  readonly size: number;
  /**
   * Called if the index maps the last sector, and the target lacks the end of it: what is missing must be nothing of a file.
   * @param begin byte offset of what the index maps without a gap up to the end of the target
   * @throws OverlaybdError if the target has lost bytes, and what reading it throws
   */
  readonly checkEnd?: (begin: number) => Promise<void>;
}

/**
 * Entries that are looked at: each pass looks at all of them. Those of one file are in its order, unless the file system has
 * scattered it.
 */
const MAX_LOOKS = 1 << 26;
/** Passes that are made in any case. */
const MIN_PASSES = 64;

/**
 * Where the range begins that entries map without a gap up to a sector.
 * @param first the entry to begin with; earlier ones are those of other layers
 * @param end sector, exclusive
 * @returns sector; null: no entry ends there
 */
function mappedUpTo(log: EntryLog, first: number, layer: number, end: number): number | null {
  let begin = end;
  const passes = Math.max(MIN_PASSES, Math.floor(MAX_LOOKS / (log.count - first)));
  for (let pass = 0; pass < passes; pass++) {
    const before = begin;
    for (let i = log.count - 1; i >= first; i--) {
      const tag = log.tagOf(i);
      if ((tag & META_ZEROED) !== 0 || tag >>> META_LAYER_SHIFT !== layer) continue;
      const moffset = log.moffsetOf(i);
      if (moffset + log.lengthOf(i) === begin) begin = moffset;
    }
    if (begin === before) break;
  }
  return begin === end ? null : begin;
}

/** @throws OverlaybdError what the check of the target throws */
export async function checkTargetEnd(
  { size, checkEnd }: LsmtTarget,
  log: EntryLog,
  first: number,
  layer: number,
): Promise<void> {
  const begin = checkEnd ? mappedUpTo(log, first, layer, size / SECTOR) : null;
  if (begin !== null) await checkEnd?.(begin * SECTOR);
}
