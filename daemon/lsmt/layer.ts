// What opening a layer gives, whatever kind it is. Types only.

import type { ProblemSink } from '../errors.js';
import type { Effort } from '../lib/effort.js';
import type { EntryLog } from './entry-log.js';
import type { LsmtHeader } from './format.js';

export type LayerKind = 'sealed' | 'append-only upper' | 'sparse upper';

/** Entries in the file's index that map something, and those that only fill space. */
export interface EntryCounts {
  readonly entries: number;
  readonly paddingEntries: number;
}

/** One opened LSMT layer. Its data is read through the source that it was opened from. */
export interface LsmtLayer {
  readonly kind: LayerKind;
  /** The header whose virtual size and uuids count: trailer, or index header of an upper. */
  readonly header: LsmtHeader;
  /** How many entries its index may add to a log: padding included, since it is known before. */
  readonly capacity: number;
  /**
   * Reads the index into a log, as the layer of that number.
   * @param sink gets every broken rule; with the default of the openers the first one is thrown
   */
  readEntries(
    log: EntryLog,
    layer: number,
    effort: Effort,
    sink?: ProblemSink,
  ): Promise<EntryCounts>;
}
