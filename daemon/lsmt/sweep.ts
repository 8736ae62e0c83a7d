// Sweeps once over a sorted log, from the first sector to the last, and emits the visible pieces: at
// each sector, the entry that was written last. Takes time linear in the number of entries, times up to
// 14 where entries lie within others.

import { TWO_32 } from '../lib/bytes.js';
import {
  MAX_ENTRY_LENGTH,
  META_MOFFSET_HIGH,
  SPAN_HIGH_SHIFT,
  type EntryLog,
} from './entry-log.js';
import { HiddenEntries } from './hidden-entries.js';
import type { LogOrder } from './sort-log.js';

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
 * Reads the arrays of the log itself. A start sweeps over a few thousand entries, before V8 has compiled this: calls
 * for each field would double the time, and V8 would compile every one of them.
 * @param begin the place of the first of the `count` entries, if they are not where they were written
 */
export function sweep(
  log: EntryLog,
  { times, areMoved }: LogOrder,
  begin: number,
  count: number,
  sink: PieceSink,
): void {
  const { offsets, spans, moffsets, meta } = log;
  const places = areMoved ? null : times;
  let hidden: HiddenEntries | null = null;
  // The visible entry. The sweep has emitted all of it before `at`.
  let at = 0;
  let end = NONE;
  let shift = 0;
  let tag = 0;
  let time = 0;
  for (let i = 0; i <= count; i++) {
    const isLast = i === count;
    // Not past the end of the arrays, which V8 would have to allow for.
    const place = isLast ? begin : places ? (places[i] as number) : begin + i;
    const span = spans[place] as number;
    const newOffset = isLast
      ? Infinity
      : (span >>> SPAN_HIGH_SHIFT) * TWO_32 + (offsets[place] as number);
    while (end !== NONE && end <= newOffset) {
      sink.piece(at, end, at + shift, tag, i);
      at = end;
      const next: number = hidden ? hidden.take(at) : NONE;
      if (!hidden || next < 0) {
        end = NONE;
        break;
      }
      end = hidden.endOf(next);
      shift = hidden.shiftOf(next);
      tag = hidden.tagOf(next);
      time = hidden.time;
    }
    if (isLast) return;
    const newEnd = newOffset + (span & MAX_ENTRY_LENGTH);
    const bits = meta[place] as number;
    const newMoffset = (bits & META_MOFFSET_HIGH) * TWO_32 + (moffsets[place] as number);
    const newShift = newMoffset - newOffset;
    const newTag = bits & ~META_MOFFSET_HIGH;
    const newTime = times ? (times[i] as number) : i;
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
