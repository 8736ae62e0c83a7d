// Counts the cost of opening one image, on the main thread or the opener thread.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { OverlaybdError } from '../errors.js';
import type { Effort, LayerNumber } from '../lib/effort.js';
import { HeapBudget } from '../lib/heap-budget.js';
import type { OpeningProgress } from '../lib/opening-progress.js';

/**
 * Jump tables, tables of pieces, trees of files and the like of the layers of one image, and what is needed to make them: enough for
 * 2 TiB in blocks of 4 KiB.
 */
const MAX_IMAGE_TABLES = 1 << 30;
/**
 * The largest image that the main thread opens, in index entries: some 10 ms of work, less than the start
 * of a thread takes. The opener thread opens larger ones.
 */
export const SMALL_IMAGE_UNITS = 65_536;

/** How often an opening says that it advances. */
export const ADVANCE_INTERVAL_MS = 1000;

/** A layer of more bytes that is read as a whole is left to a thread that does nothing else. */
const MAX_WHOLE_HERE = 1 << 20;

/** The image is too much for this thread; nothing is wrong with it. */
export class TooLargeHere extends Error {
  /** Whether layers must be read as a whole, so that it takes as long as their disk or registry takes. */
  readonly isWhole: boolean;

  constructor(isWhole = false) {
    super('too large for this thread');
    this.name = 'TooLargeHere';
    this.isWhole = isWhole;
  }
}

export interface EffortOptions {
  /** Whether the thread reads layers as a whole, however large they are. */
  readonly readsWhole?: boolean;
  /** Is called when work or a piece of it begins, at most once in ADVANCE_INTERVAL_MS, with how much of the image has been read. */
  readonly advanced?: (progress: OpeningProgress | null) => void;
}

export class ImageEffort implements Effort {
  readonly heap = new HeapBudget();
  readonly #isShared: boolean;
  readonly #readsWhole: boolean;
  readonly #advanced: EffortOptions['advanced'];
  readonly #now: () => number;
  #units = 0;
  #tables = 0;
  #advancedAt = -Infinity;
  #progress: OpeningProgress | null = null;

  /**
   * @param isShared whether the thread has other work: it gets turns, and large images are refused
   * @param now milliseconds
   */
  constructor(
    isShared: boolean,
    { readsWhole = !isShared, advanced }: EffortOptions = {},
    now = (): number => performance.now(),
  ) {
    this.#isShared = isShared;
    this.#readsWhole = readsWhole;
    this.#advanced = advanced;
    this.#now = now;
  }

  spend(units: number): void {
    this.#units += units;
    if (this.#advanced) this.#tell(this.#advanced);
    if (this.#isShared && this.#units > SMALL_IMAGE_UNITS) throw new TooLargeHere();
  }

  whole(bytes: number): void {
    if (!this.#readsWhole && bytes > MAX_WHOLE_HERE) throw new TooLargeHere(true);
  }

  progress(done: number, total: number, { layer, of }: LayerNumber = { layer: 1, of: 1 }): void {
    this.#progress = { bytes: done, total, layer, layers: of };
  }

  #tell(advanced: NonNullable<EffortOptions['advanced']>): void {
    const now = this.#now();
    if (now - this.#advancedAt < ADVANCE_INTERVAL_MS) return;
    this.#advancedAt = now;
    advanced(this.#progress);
  }

  /** Work that was announced at once may take minutes on a busy machine: a piece of it that is done is progress, too. */
  turn(): Promise<void> | null {
    if (this.#advanced) this.#tell(this.#advanced);
    return this.#isShared ? nextTurn() : null;
  }

  keep(bytes: number, blob: string): void {
    this.#tables += bytes;
    if (bytes <= 0 || this.#tables <= MAX_IMAGE_TABLES) return;
    throw new OverlaybdError(
      'LIMIT',
      `${blob}: with this one, the tables and trees of the image have ${this.#tables} bytes, at most ${MAX_IMAGE_TABLES}`,
    );
  }
}
