// Sweeps once over a sorted log, from the first sector to the last, and emits the visible pieces: at
// each sector, the entry that was written last. Takes time linear in the number of entries, times up to
// 14 where entries lie within others.

import type { EntryLog } from './entry-log.js';
import { HiddenEntries } from './hidden-entries.js';

/** Receives the pieces, in order and without overlap. Units: sectors. */
export interface PieceSink {
  /**
   * @param tag layer and zeroed bit, as in an entry's `meta`; `moffset` has no meaning if zeroed
   * @param taken how many entries of the log the sweep has read and does not need again
   */
  piece(offset: number, end: number, moffset: number, tag: number, taken: number): void;
}

const NONE = -1;

/**
 * @param order the time of writing of each entry; null if the entries are in that order
 * @param begin the place of the first of the `count` entries in the log's arrays
 */
export function sweep(
  log: EntryLog,
  order: Uint32Array | null,
  begin: number,
  count: number,
  sink: PieceSink,
): void {
  let hidden: HiddenEntries | null = null;
  // The visible entry. The sweep has emitted all of it before `at`.
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
