// Counts the cost of opening one image, on the main thread or the opener thread.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { OverlaybdError } from '../errors.js';
import type { Effort } from '../lib/effort.js';

/**
 * Jump tables and the like of the layers of one image: enough for 2 TiB in blocks of 4 KiB.
 */
const MAX_IMAGE_TABLES = 1 << 30;
/**
 * The largest image that the main thread opens, in index entries: some 10 ms of work, less than the start
 * of a thread takes. The opener thread opens larger ones.
 */
export const SMALL_IMAGE_UNITS = 65_536;

/** How often an opening says that it advances. */
export const ADVANCE_INTERVAL_MS = 1000;

/** The image is too much for this thread; nothing is wrong with it. */
export class TooLargeHere extends Error {
  constructor() {
    super('too large for this thread');
    this.name = 'TooLargeHere';
  }
}

export class ImageEffort implements Effort {
  readonly #isShared: boolean;
  readonly #advanced: (() => void) | null;
  readonly #now: () => number;
  #units = 0;
  #tables = 0;
  #advancedAt = -Infinity;

  /**
   * @param isShared whether the thread has other work: it gets turns, and large images are refused
   * @param advanced is called when work begins, at most once in ADVANCE_INTERVAL_MS
   * @param now milliseconds
   */
  constructor(
    isShared: boolean,
    advanced: (() => void) | null = null,
    now = (): number => performance.now(),
  ) {
    this.#isShared = isShared;
    this.#advanced = advanced;
    this.#now = now;
  }

  spend(units: number): void {
    this.#units += units;
    if (this.#advanced) this.#tell(this.#advanced);
    if (this.#isShared && this.#units > SMALL_IMAGE_UNITS) throw new TooLargeHere();
  }

  #tell(advanced: () => void): void {
    const now = this.#now();
    if (now - this.#advancedAt < ADVANCE_INTERVAL_MS) return;
    this.#advancedAt = now;
    advanced();
  }

  turn(): Promise<void> | null {
    return this.#isShared ? nextTurn() : null;
  }

  keep(bytes: number, blob: string): void {
    this.#tables += bytes;
    if (this.#tables <= MAX_IMAGE_TABLES) return;
    throw new OverlaybdError(
      'LIMIT',
      `${blob}: with this one, the jump tables of the image have ${this.#tables} bytes, at most ${MAX_IMAGE_TABLES}`,
    );
  }
}
