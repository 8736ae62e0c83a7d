// Builds the merged index of a stack from its entry log: sorts the log, finds the visible pieces, and writes
// them, if the log is long, over the log itself. So opening a large stack takes the memory of one and a half
// indexes, and the opened stack takes that of one.

import { OverlaybdError } from '../errors.js';
import { TWO_32 } from '../lib/bytes.js';
import { memory } from '../native/memory.js';
import { EntryLog, META_ZEROED, sharedU32, type SharedU32 } from './entry-log.js';
import { SECTOR } from './format.js';
import { rangeShiftFor, type LsmtIndexData } from './merged-index.js';
import { bytesOf, sortLog, type LogOrder } from './sort-log.js';
import { sweep, type PieceSink } from './sweep.js';

/**
 * Segments of a merged stack: 256 MiB of index. The reference allows 128,000,000, which is 2 GiB. Real
 * images have about 10,000.
 */
export const MAX_STACK_SEGMENTS = 16_777_216;

/**
 * The index of a log of up to this many entries is written to memory of its own, with room for two segments an
 * entry, which are never exceeded. Counting the segments first would double the time, and save 1 MiB for a moment.
 */
const SHORT_LOG = 1 << 16;

/** A joined segment stays below this many sectors, so that its length fits a u32. */
const MAX_JOINED_LENGTH = 0xffff_ffff;

/**
 * Merges a log into an index, without the sectors past the end of the device. The index takes over the
 * arrays of the log, so the log cannot be used again.
 * @param virtualSize bytes of the device, at most 2^53 - 1
 * @param name the stack, for messages
 * @param shortLog entries of the longest log whose index gets memory of its own; tests set it
 * @throws OverlaybdError LIMIT if there are more than {@link MAX_STACK_SEGMENTS}
 */
export function buildIndex(
  log: EntryLog,
  virtualSize: number,
  name: string,
  shortLog = SHORT_LOG,
): LsmtIndexData {
  const sectors = Math.ceil(virtualSize / SECTOR);
  const { count: entries } = log;
  const isShort = entries <= shortLog;
  const order = sortLog(log, isShort);
  const ahead = isShort ? 0 : makeRoom(log, order, sectors, name);
  const target = isShort ? new EntryLog(2 * entries) : log;
  const writer = new SegmentWriter(target, sectors);
  sweep(log, order, ahead, entries, writer);
  if (order.times) memory.releasePages(bytesOf(order.times));
  if (isShort) for (const array of arraysOf(log)) memory.releasePages(bytesOf(array));
  const { offsets, spans: lengths, moffsets, meta } = target;
  const { count, highStarts } = writer;
  highStarts.fill(count, writer.highs);
  const rangeShift = rangeShiftFor(count, sectors);
  return {
    count,
    virtualSize,
    offsets: keep(offsets, count),
    lengths: keep(lengths, count),
    moffsets: keep(moffsets, count),
    meta: keep(meta, count),
    highStarts,
    rangeShift,
    rangeStarts: rangeStartsOf(offsets, highStarts, count, { sectors, rangeShift }),
  };
}

/**
 * Makes room for the index over the log.
 * @returns the place of the log's first entry from now on
 */
function makeRoom(log: EntryLog, order: LogOrder, sectors: number, name: string): number {
  const counter = new SegmentCounter(sectors);
  sweep(log, order, 0, log.count, counter);
  const { count, ahead } = counter;
  if (count > MAX_STACK_SEGMENTS) {
    throw new OverlaybdError(
      'LIMIT',
      `${name}: ${count} segments after merging its layers, at most ${MAX_STACK_SEGMENTS}`,
    );
  }
  if (ahead > 0) moveAway(log, ahead);
  return ahead;
}

function arraysOf({ offsets, spans, moffsets, meta }: EntryLog): SharedU32[] {
  return [offsets, spans, moffsets, meta];
}

/** Joins a piece to the one before it if it continues that one in the device and in the layer. */
abstract class Joiner implements PieceSink {
  readonly #sectors: number;
  count = 0;
  #end = -1;
  #length = 0;
  #moffsetEnd = 0;
  #tag = 0;

  constructor(sectors: number) {
    this.#sectors = sectors;
  }

  piece(offset: number, pieceEnd: number, moffset: number, tag: number, taken: number): void {
    const end = Math.min(pieceEnd, this.#sectors);
    if (offset >= end) return;
    const n = end - offset;
    const zeroed = (tag & META_ZEROED) !== 0;
    const joins =
      offset === this.#end &&
      tag === this.#tag &&
      (zeroed || moffset === this.#moffsetEnd) &&
      this.#length + n <= MAX_JOINED_LENGTH;
    this.#end = end;
    this.#moffsetEnd = moffset + n;
    if (joins) {
      this.#length += n;
      this.longer(this.#length);
      return;
    }
    this.#length = n;
    this.#tag = tag;
    this.begin(offset, n, moffset, tag, taken);
    this.count++;
  }

  protected abstract begin(
    offset: number,
    length: number,
    moffset: number,
    tag: number,
    taken: number,
  ): void;
  /** The last segment now has this length. */
  protected abstract longer(length: number): void;
}

class SegmentCounter extends Joiner {
  /** Segments written now would overwrite up to this many entries that the sweep has not read yet. */
  ahead = 0;

  protected begin(_: number, _length: number, _moffset: number, _tag: number, taken: number): void {
    if (this.count + 1 - taken > this.ahead) this.ahead = this.count + 1 - taken;
  }

  protected longer(): void {
    // A longer segment is still one segment.
  }
}

class SegmentWriter extends Joiner {
  readonly #log: EntryLog;
  readonly highStarts: SharedU32;
  /** How many of `highStarts` are set. */
  highs = 0;

  constructor(log: EntryLog, sectors: number) {
    super(sectors);
    this.#log = log;
    this.highStarts = sharedU32(Math.floor(sectors / TWO_32) + 2);
  }

  protected begin(offset: number, length: number, moffset: number, tag: number): void {
    const { offsets, spans, moffsets, meta } = this.#log;
    const i = this.count;
    offsets[i] = offset;
    spans[i] = length;
    if ((tag & META_ZEROED) === 0) {
      moffsets[i] = moffset;
      meta[i] = tag | Math.floor(moffset / TWO_32);
    } else {
      moffsets[i] = 0;
      meta[i] = tag;
    }
    const high = Math.floor(offset / TWO_32);
    while (this.highs <= high) this.highStarts[this.highs++] = i;
  }

  protected longer(length: number): void {
    this.#log.spans[this.count - 1] = length;
  }
}

/**
 * Moves all entries `places` further, so that the writer does not overrun them. Copies one array at a
 * time, so that there is never more than one copy.
 */
function moveAway(log: EntryLog, places: number): void {
  const moved = (array: SharedU32): SharedU32 => {
    const to = sharedU32(log.count + places);
    to.set(array.subarray(0, log.count), places);
    memory.releasePages(bytesOf(array));
    return to;
  };
  log.offsets = moved(log.offsets);
  log.spans = moved(log.spans);
  log.moffsets = moved(log.moffsets);
  log.meta = moved(log.meta);
}

/** @returns the first `count` numbers; the kernel gets the pages after them back */
function keep(array: SharedU32, count: number): SharedU32 {
  memory.releasePages(bytesOf(array.subarray(count)));
  return array.subarray(0, count);
}

/** @returns starts[r]: the first segment whose offset is r << rangeShift or more */
function rangeStartsOf(
  offsets: SharedU32,
  highStarts: SharedU32,
  count: number,
  { sectors, rangeShift }: { sectors: number; rangeShift: number },
): SharedU32 {
  const width = 2 ** rangeShift;
  const starts = sharedU32(Math.floor(sectors / width) + 2);
  let next = 0;
  let high = 0;
  for (let i = 0; i < count; i++) {
    while ((highStarts[high + 1] as number) <= i) high++;
    const last = Math.floor((high * TWO_32 + (offsets[i] as number)) / width);
    while (next <= last) starts[next++] = i;
  }
  starts.fill(count, next);
  return starts;
}
