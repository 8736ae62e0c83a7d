// What opening a layer gives, whatever kind it is. Types only.

import type { LsmtHeader } from './format.js';
import type { SegmentList } from './segment-list.js';

export type LayerKind = 'sealed' | 'append-only upper' | 'sparse upper';

/** One opened LSMT layer. Its data is read through the source that it was opened from. */
export interface LsmtLayer {
  readonly kind: LayerKind;
  /** The header whose virtual size and uuids count: trailer, or index header of an upper. */
  readonly header: LsmtHeader;
  /** In LBA order, without overlap, layer number 0. */
  readonly segments: SegmentList;
  /** Entries in the file's index that map something, and those that only fill space. */
  readonly entries: number;
  readonly paddingEntries: number;
}
