// An opened LSMT layer, the same for all kinds. Types only.

import type { ProblemSink } from '../errors.js';
import type { Effort } from '../lib/effort.js';
import type { EntryLog } from './entry-log.js';
import type { LsmtHeader } from './format.js';

export type LayerKind = 'sealed' | 'append-only upper' | 'sparse upper';

/** Numbers of mapping entries and of padding entries in an index. */
export interface EntryCounts {
  readonly entries: number;
  readonly paddingEntries: number;
}

/** One opened LSMT layer. Reads of its data go to the source from which it was opened. */
export interface LsmtLayer {
  readonly kind: LayerKind;
  /** The header whose virtual size and uuids apply: the trailer, or the index header of an upper. */
  readonly header: LsmtHeader;
  /** The most entries that the index can add to a log. Padding counts: the header does not tell it apart. */
  readonly capacity: number;
  /** Whether entries map ranges of a target, which is another source than the layer's own. */
  readonly hasTarget: boolean;
  /**
   * Reads the index into a log.
   * @param layer the number that the entries get
   * @param sink gets every broken rule; with the default of the openers the first one is thrown
   * @param targetLayer the number that entries get that map a range of the target
   */
  readEntries(
    log: EntryLog,
    layer: number,
    effort: Effort,
    sink?: ProblemSink,
    targetLayer?: number,
  ): Promise<EntryCounts>;
}
