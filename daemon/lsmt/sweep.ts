// Goes once over a sorted log, from the first sector to the last, and gives the pieces of entries that
// can be seen: at each place that of the entry which was written last. Linear in entries, but for a
// factor of 14 where one lies within another.

import type { EntryLog } from './entry-log.js';
import { HiddenEntries } from './hidden-entries.js';

/** Receives the pieces, in order and without overlap. Units: sectors. */
export interface PieceSink {
  /**
   * @param tag layer and zeroed bit, as in an entry's `meta`; `moffset` means nothing when zeroed
   * @param taken how many entries of the log have been read, and are not needed any more
   */
  piece(offset: number, end: number, moffset: number, tag: number, taken: number): void;
}

const NONE = -1;

/**
 * @param order the time of writing of each entry; null: they stand in that order
 * @param begin where the first of the `count` entries stands in the log's arrays
 */
export function sweep(
  log: EntryLog,
  order: Uint32Array | null,
  begin: number,
  count: number,
  sink: PieceSink,
): void {
  let hidden: HiddenEntries | null = null;
  /** The entry that is seen, of which everything before `at` has been given. */
  let at = 0;
  let end = NONE;
  let shift = 0;
  let tag = 0;
  let time = 0;
  for (let i = 0; i <= count; i++) {
    const isLast = i === count;
    const newOffset = isLast ? Infinity : log.offsetOf(begin + i);
    while (end !== NONE && end <= newOffset) {
      sink.piece(at, end, at + shift, tag, i);
      at = end;
      const place: number = hidden ? hidden.take(at) : NONE;
      if (!hidden || place < 0) {
        end = NONE;
        break;
      }
      end = hidden.endOf(place);
      shift = hidden.shiftOf(place);
      tag = hidden.tagOf(place);
      time = hidden.time;
    }
    if (isLast) return;
    const newEnd = newOffset + log.lengthOf(begin + i);
    const newShift = log.moffsetOf(begin + i) - newOffset;
    const newTag = log.tagOf(begin + i);
    const newTime = order ? (order[i] as number) : i;
    if (end !== NONE) {
      if (time > newTime) {
        if (newEnd > end) (hidden ??= new HiddenEntries()).add(newEnd, newShift, newTag, newTime);
        continue;
      }
      if (newOffset > at) sink.piece(at, newOffset, at + shift, tag, i + 1);
      if (end > newEnd) (hidden ??= new HiddenEntries()).add(end, shift, tag, time);
    }
    at = newOffset;
    end = newEnd;
    shift = newShift;
    tag = newTag;
    time = newTime;
  }
}
