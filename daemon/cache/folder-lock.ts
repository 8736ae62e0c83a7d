// The lock under which the files of a blob are made, renamed and removed, among all processes that use the
// folder. The kernel ends it with the process.

import { setTimeout as pause } from 'node:timers/promises';
import { errorOf } from '../lib/fault.js';
import { monotonicMs } from '../lib/clock.js';
import { closeCacheFile, lockExclusive, openCacheFile, unlock, type CacheFile } from './disk.js';
import { openOurs, type ForeignReport } from './foreign.js';
import type { CacheFolder } from './folder.js';

const POLL_MS = 5;
/** The work under the lock is a few calls. */
const LOCK_DEADLINE_MS = 10_000;

export class FolderLock {
  readonly #fd: number;
  readonly #path: string;
  /** Callers in this process take turns: for the lock of the system they are one. */
  readonly #turns = new Map<string, Promise<unknown>>();

  private constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  /**
   * @param report called if the path of the lock was not a regular file, and was removed
   * @throws OverlaybdError IO
   */
  static async open(
    folder: CacheFolder,
    report: ForeignReport = () => undefined,
  ): Promise<FolderLock> {
    const file = (await openOurs(folder.lock, report, make)) ?? (await make(folder.lock));
    return new FolderLock(file.fd, folder.lock);
  }

  /**
   * Does work alone, as far as one blob is concerned.
   * @throws OverlaybdError BUSY after 10 s, and what `work` throws
   */
  async hold<T>(digits: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(digits) ?? Promise.resolve();
    const turn = before.catch(() => {}).then(() => this.#locked(digits, work));
    this.#turns.set(digits, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(digits) === turn) this.#turns.delete(digits);
    }
  }

  close(): void {
    closeCacheFile(this.#fd);
  }

  async #locked<T>(digits: string, work: () => Promise<T>): Promise<T> {
    // 48 bits: two blobs rarely share a byte, and then only wait for each other.
    const position = Number.parseInt(digits.slice(0, 12), 16);
    await waitFor(() => lockExclusive(this.#fd, position), this.#path, `byte ${position}`);
    try {
      return await work();
    } finally {
      unlock(this.#fd, position);
    }
  }
}

/** @throws OverlaybdError BUSY if `take` does not return true in time */
export async function waitFor(take: () => boolean, path: string, section?: string): Promise<void> {
  const end = monotonicMs() + LOCK_DEADLINE_MS;
  while (!take()) {
    if (monotonicMs() > end) {
      const facts = { path, ...(section !== undefined && { section }) };
      throw errorOf('BUSY', facts, 'another process holds the lock');
    }
    await pause(POLL_MS);
  }
}

const make = (path: string): Promise<CacheFile> => openCacheFile(path, 0);
