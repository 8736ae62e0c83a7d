// What it costs to open one image. An opener announces each cost before it pays, so that other work on
// the thread gets its turn, a large image can move to another thread, and one that is too large is
// refused. Only the interface.

import type { HeapBudget } from './heap-budget.js';

export interface Effort {
  /**
   * Announces work that is about to begin.
   * @param units number of index entries to read, or the same amount of other work
   * @throws if the work is too much for this thread; this ends the opening
   */
  spend(units: number): void;
  /**
   * Openers call this between pieces of work of a few milliseconds.
   * @returns a promise to await before the next piece, or null
   */
  turn(): Promise<void> | null;
  /**
   * Announces memory, before it is allocated, of tables that stay in use while the image is open, and of what is needed to make
   * them. The index is counted elsewhere.
   * @param bytes below 0: they are free again, and it does not throw
   * @throws OverlaybdError LIMIT; the bytes are counted all the same
   */
  keep(bytes: number, blob: string): void;
  /** What the layers may have on the heap. Absent: each may have as much as all layers of another image. */
  readonly heap?: HeapBudget | undefined;
  /**
   * Announces that a layer is read as a whole: that takes as long as its disk or registry takes.
   * @param bytes of its blob
   * @throws if this thread does not wait for that; this ends the opening
   */
  whole?(bytes: number): void;
  /** Tells how much of a layer has been read that must be read as a whole. Cheap to call often. */
  readonly progress?: Progress | undefined;
}

/** Bytes that are done, and all of them; if they are of several layers, which one it is about. */
export type Progress = (done: number, total: number, layer?: LayerNumber) => void;

/** "2 of 5": from 1 on, the bottom layer is 1. */
export interface LayerNumber {
  readonly layer: number;
  readonly of: number;
}

/** An effort for work that may be abandoned: what it has counted until then can be given back. */
export interface Attempt {
  readonly effort: Effort;
  /** Its part of the heap; absent if the effort has none. */
  readonly heap: HeapBudget | undefined;
  /** Nothing of what it made is in use any more. Never throws. */
  readonly giveBack: () => void;
}

/** The same effort, with a part of the heap of its own. */
export function attempt(effort: Effort): Attempt {
  const heap = effort.heap?.part();
  let kept = 0;
  let last = '';
  const own: Effort = {
    spend: (units) => effort.spend(units),
    turn: () => effort.turn(),
    keep: (bytes, blob) => {
      // What throws has counted it.
      kept += bytes;
      last = blob;
      effort.keep(bytes, blob);
    },
    whole: (bytes) => effort.whole?.(bytes),
    progress: (done, total, layer) => effort.progress?.(done, total, layer),
    heap,
  };
  const giveBack = (): void => {
    heap?.settle(0);
    if (kept !== 0) effort.keep(-kept, last);
    kept = 0;
  };
  return { effort: own, heap, giveBack };
}

/** For a command that opens one image and exits. */
export const UNBOUNDED: Effort = {
  spend: () => undefined,
  turn: () => null,
  keep: () => undefined,
};

/** Files of one image that are opened or read at the same time. */
export const PARALLEL_FILES = 8;

/** Blocks of a jump table that are as much work as one index entry. */
export const BLOCKS_A_UNIT = 8;
/** Bytes to decode or hash that are as much work as one index entry. */
export const DECODED_BYTES_A_UNIT = 64;
/** Bytes of JSON that are as much work as one index entry. */
export const JSON_BYTES_A_UNIT = 16;
/** Deflating the window of a checkpoint is as much work as reading this many entries of an index. */
export const UNITS_A_WINDOW = 4096;
