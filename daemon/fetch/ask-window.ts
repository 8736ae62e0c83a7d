// Bounds what one thread has asked the fetcher for. Reads above the bound wait here, each blob in a queue of its
// own, so that a blob whose registry is dead does not hold up the others.

import { MAX_ASKED_CHUNKS } from './limits.js';
import type { ReadAsk } from './messages.js';

interface BlobWindow {
  /** Chunks of the reads that the fetcher has. */
  asked: number;
  /** In the order in which they came, by id. */
  readonly waiting: Map<number, ReadAsk>;
}

type Post = (ask: ReadAsk) => void;

export class AskWindow {
  readonly #limit: number;
  readonly #blobs = new Map<number, BlobWindow>();
  /** Of all blobs. */
  #asked = 0;

  /** @param limit chunks */
  constructor(limit = MAX_ASKED_CHUNKS) {
    this.#limit = limit;
  }

  /** Posts a read, now or when there is room. */
  add(ask: ReadAsk, post: Post): void {
    let window = this.#blobs.get(ask.blob);
    if (!window) this.#blobs.set(ask.blob, (window = { asked: 0, waiting: new Map() }));
    window.waiting.set(ask.id, ask);
    if (window.waiting.size === 1) this.#postWaiting(window, post);
  }

  /** A read has its answer, or has given up. Call `fill` after one or several of these. */
  remove(ask: ReadAsk): void {
    const window = this.#blobs.get(ask.blob);
    if (!window) return;
    if (!window.waiting.delete(ask.id)) {
      const chunks = chunksOf(ask);
      window.asked -= chunks;
      this.#asked -= chunks;
    }
    if (window.asked === 0 && window.waiting.size === 0) this.#blobs.delete(ask.blob);
  }

  /** Posts what waits, as far as there is room. */
  fill(post: Post): void {
    for (const window of this.#blobs.values()) this.#postWaiting(window, post);
  }

  /** Whether a read waits here. */
  isWaiting(id: number): boolean {
    for (const { waiting } of this.#blobs.values()) if (waiting.has(id)) return true;
    return false;
  }

  /** Forgets all reads: there is a new fetcher. */
  clear(): void {
    this.#blobs.clear();
    this.#asked = 0;
  }

  #postWaiting(window: BlobWindow, post: Post): void {
    for (const [id, ask] of window.waiting) {
      if (!this.#hasRoom(window)) break;
      window.waiting.delete(id);
      const chunks = chunksOf(ask);
      window.asked += chunks;
      this.#asked += chunks;
      post(ask);
    }
  }

  /** A blob may have as much as is free: one that is stuck leaves half, two leave a third, and so on. */
  #hasRoom({ asked }: BlobWindow): boolean {
    return asked === 0 || asked < this.#limit - this.#asked;
  }
}

function chunksOf({ first, last }: ReadAsk): number {
  return last - first + 1;
}
