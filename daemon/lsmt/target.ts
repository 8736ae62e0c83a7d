// The target of a layer: another source that its index maps ranges of. It may lack the end of its last sector, as an archive does
// that ends with the last byte of its last file.

import type { Effort } from '../lib/effort.js';
import { MAX_ENTRY_LENGTH, META_LAYER_SHIFT, META_ZEROED, type EntryLog } from './entry-log.js';
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

/** A key has a distance in sectors, and below it the length of an entry. */
const KEY_LENGTHS = MAX_ENTRY_LENGTH + 1;
/** Keys are exact: 2^48 bytes. No file begins as far from the end. */
const MAX_DISTANCE = 2 ** 53 / KEY_LENGTHS;

/**
 * How much entries map up to the end of a target, each up to where the next one begins.
 * @param first the entry to begin with; earlier ones are those of other layers
 * @param end sector, exclusive
 * @returns sectors; 0: no entry ends there
 */
function mappedAtEnd(log: EntryLog, first: number, layer: number, end: number): number {
  const keys = new Float64Array(log.count - first);
  let n = 0;
  for (let i = first; i < log.count; i++) {
    const tag = log.tagOf(i);
    if ((tag & META_ZEROED) !== 0 || tag >>> META_LAYER_SHIFT !== layer) continue;
    const length = log.lengthOf(i);
    const distance = end - (log.moffsetOf(i) + length);
    if (distance >= 0 && distance < MAX_DISTANCE) keys[n++] = distance * KEY_LENGTHS + length;
  }
  const nearest = keys.subarray(0, n);
  nearest.sort();
  let mapped = 0;
  for (const key of nearest) {
    const distance = Math.floor(key / KEY_LENGTHS);
    if (distance > mapped) break;
    // What overlaps may go on beyond the file. Of two entries that end here, the shorter one is taken.
    if (distance === mapped) mapped += key % KEY_LENGTHS;
  }
  return mapped;
}

/** @throws OverlaybdError what the check of the target throws */
export async function checkTargetEnd(
  { size, checkEnd }: LsmtTarget,
  log: EntryLog,
  first: number,
  layer: number,
  effort: Pick<Effort, 'spend' | 'turn'>,
): Promise<void> {
  if (!checkEnd) return;
  // To sort an entry is as much work as to read it.
  effort.spend(log.count - first);
  await effort.turn();
  const end = size / SECTOR;
  const mapped = mappedAtEnd(log, first, layer, end);
  await effort.turn();
  if (mapped > 0) await checkEnd((end - mapped) * SECTOR);
}
