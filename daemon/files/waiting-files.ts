// The files that a list has found and not shown yet, those of the folders on the way among them. A hostile image can have
// few bytes and many folders that share their names.

import { errorOf } from '../lib/fault.js';
import { HeapBudget } from '../lib/heap-budget.js';
import { shownPath } from '../tree/names.js';

/** Bytes of the heap for a file that waits, without its name. */
const FILE_BYTES = 512;
/** Bytes of the heap for all files that wait: 2,000,000 with names of 20 bytes, the most that a layer can have. */
const MAX_WAITING_BYTES = 1 << 30;

export class WaitingFiles {
  readonly #heap: HeapBudget;

  /** @param most bytes of the heap */
  constructor(most = MAX_WAITING_BYTES) {
    this.#heap = new HeapBudget(most);
  }

  /** @param path of its folder, for the message @throws OverlaybdError LIMIT */
  add(path: string, name: string): void {
    if (this.#heap.take(FILE_BYTES + name.length)) return;
    this.remove(name);
    const why = `too many files: those that are not listed yet take more than ${this.#heap.most} bytes of memory`;
    throw errorOf('LIMIT', { path: shownPath(path) }, why);
  }

  remove(name: string): void {
    this.#heap.take(-FILE_BYTES - name.length);
  }
}
