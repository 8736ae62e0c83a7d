// Counts what the opening of one image costs, on whichever thread it is opened.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { OverlaybdError } from '../errors.js';
import type { Effort } from '../lib/effort.js';

/**
 * Jump tables of the layers of one image: enough for 2 TiB in blocks of 4 KiB.
 */
const MAX_IMAGE_TABLES = 1 << 30;
/**
 * What the main thread opens by itself, in index entries: some 10 ms of work. A thread for it would
 * take longer to start. What is larger is opened by the opener thread.
 */
export const SMALL_IMAGE_UNITS = 65_536;

/** The image is too much for this thread; nothing is wrong with it. */
export class TooLargeHere extends Error {
  constructor() {
    super('too large for this thread');
    this.name = 'TooLargeHere';
  }
}

export class ImageEffort implements Effort {
  readonly #isShared: boolean;
  #units = 0;
  #tables = 0;

  /** @param isShared whether others wait for the thread: they get turns, and large images do not go on */
  constructor(isShared: boolean) {
    this.#isShared = isShared;
  }

  spend(units: number): void {
    this.#units += units;
    if (this.#isShared && this.#units > SMALL_IMAGE_UNITS) throw new TooLargeHere();
  }

  turn(): Promise<void> | null {
    return this.#isShared ? nextTurn() : null;
  }

  keep(bytes: number, blob: string): void {
    this.#tables += bytes;
    if (this.#tables <= MAX_IMAGE_TABLES) return;
    throw new OverlaybdError(
      'LIMIT',
      `${blob}: with its jump table those of the image have ${this.#tables} bytes, at most ${MAX_IMAGE_TABLES}`,
    );
  }
}
