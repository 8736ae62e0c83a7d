// Openings that wait for a thread, in the order in which they came.

import { OverlaybdError } from '../errors.js';
import type { OpenRequest } from './messages.js';

export interface WaitingOpening {
  readonly request: Pick<OpenRequest, 'fetcher'>;
  reject(error: Error): void;
}

export class WaitingOpenings<T extends WaitingOpening> implements Iterable<T> {
  readonly #all: T[] = [];

  get length(): number {
    return this.#all.length;
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#all.values();
  }

  add(opening: T): void {
    this.#all.push(opening);
  }

  /**
   * Takes out one that begins.
   * @returns false if it does not wait any more
   */
  take(opening: T): boolean {
    const place = this.#all.indexOf(opening);
    if (place >= 0) this.#all.splice(place, 1);
    return place >= 0;
  }

  /** Takes out the first one. */
  next(): T | null {
    return this.#all.shift() ?? null;
  }

  /**
   * Ends one that has not begun.
   * @returns false if it does not wait any more
   */
  refuse(opening: T, error: Error): boolean {
    if (!this.take(opening)) return false;
    opening.request.fetcher?.port.close();
    opening.reject(error);
    return true;
  }

  refuseAll(error: Error): void {
    for (const opening of this.#all.slice()) this.refuse(opening, error);
  }
}

/** The error of an opening that was cancelled. */
export function notWanted(): OverlaybdError {
  return new OverlaybdError('BUSY', 'the opening was cancelled');
}
