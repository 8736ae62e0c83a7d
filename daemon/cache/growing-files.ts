// Files of the folder that are being written, and room that is kept for them: what a file is going to have is counted before it
// has it. In the thread of the store; the writers are in others.

import { monotonicMs } from '../lib/clock.js';

/**
 * Room is kept for this long. A writer that has not used its room for half of that asks again: nobody else says that it is still
 * there.
 */
export const KEPT_MS = 60_000;

/** Bytes on disk. */
interface Growth {
  /** What was counted of it as stored. */
  counted: number;
  /** What it may have. */
  readonly end: number;
  readonly until: number;
  /** Whether there is room for it: `asked` until that is known. */
  state: 'asked' | 'granted' | 'refused';
}

export class GrowingFiles {
  /** By path. */
  readonly #files = new Map<string, Growth>();
  readonly #now: () => number;

  /** @param now milliseconds */
  constructor(now = monotonicMs) {
    this.#now = now;
  }

  /**
   * Keeps room for a file.
   * @param bytes that it is going to have beside those that it has
   * @param has bytes that it has on disk
   * @returns bytes of it that were not counted as stored before, negative if it was cut. Of a new one the last count of the folder
   *   may have some: it may count twice until the next one
   */
  grow(path: string, bytes: number, has: number): number {
    const before = this.#files.get(path);
    const until = this.#now() + KEPT_MS;
    // Behind those that have asked before.
    this.#files.delete(path);
    this.#files.set(path, { counted: has, end: has + bytes, until, state: 'asked' });
    return has - (before?.counted ?? 0);
  }

  /** It grows no more. @returns bytes that it may have beside those that were counted */
  end(path: string): number {
    const growth = this.#files.get(path);
    this.#files.delete(path);
    return growth ? roomOf(growth) : 0;
  }

  /** A file was counted as it is. */
  count(path: string, has: number): void {
    const growth = this.#files.get(path);
    if (growth) growth.counted = has;
  }

  /** Bytes that are kept for files, and not counted as stored. */
  get room(): number {
    let sum = 0;
    for (const growth of this.#files.values()) sum += roomOf(growth);
    return sum;
  }

  /**
   * The same for a file that asks for room: without what was refused to others, and what others have asked for later and have no
   * answer to yet. So of two that do not fit together, the first one fits.
   */
  roomUpTo(path: string): number {
    let sum = 0;
    let isLater = false;
    for (const [each, growth] of this.#files) {
      const counts = growth.state === 'granted' || (growth.state === 'asked' && !isLater);
      if (counts || each === path) sum += roomOf(growth);
      isLater ||= each === path;
    }
    return sum;
  }

  /** What is refused is kept all the same, from chunks: its writer may have another way, or goes on without a limit. */
  decide(path: string, hasRoom: boolean): void {
    const growth = this.#files.get(path);
    if (growth) growth.state = hasRoom ? 'granted' : 'refused';
  }

  /** Forgets files whose writers said nothing for long. @returns bytes that they may have beside those that were counted */
  expire(): number {
    let sum = 0;
    const now = this.#now();
    for (const [path, growth] of this.#files) {
      if (now < growth.until) continue;
      sum += roomOf(growth);
      this.#files.delete(path);
    }
    return sum;
  }
}

function roomOf({ counted, end }: Growth): number {
  return Math.max(0, end - counted);
}
