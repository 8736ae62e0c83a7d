// The blobs that one thread has open: counted here, so that the fetcher knows of each only whether the thread
// has it, and a question that is asked twice because a fetcher died opens nothing twice.

import { keyOfRef, type RegistryRef } from '../blob/blob-ref.js';
import type { CachedSpec } from '../blob/cached-source.js';

interface OpenBlob {
  readonly spec: CachedSpec;
  count: number;
}

export class OpenBlobs {
  readonly #ask: (ref: RegistryRef) => Promise<CachedSpec>;
  readonly #close: (blob: number) => void;
  readonly #blobs = new Map<number, OpenBlob>();
  /** Those that are being opened, by the key of their name. */
  readonly #opening = new Map<string, Promise<CachedSpec>>();
  /** How many callers wait for a blob to be open, by its digest. */
  readonly #expected = new Map<string, number>();

  constructor(ask: (ref: RegistryRef) => Promise<CachedSpec>, close: (blob: number) => void) {
    this.#ask = ask;
    this.#close = close;
  }

  /** Numbers of the blobs that are open. */
  numbers(): number[] {
    return [...this.#blobs.keys()];
  }

  nameOf(blob: number): string | null {
    return this.#blobs.get(blob)?.spec.name ?? null;
  }

  async open(ref: RegistryRef): Promise<CachedSpec> {
    const key = keyOfRef(ref);
    let opening = this.#opening.get(key);
    if (!opening) {
      // The fetcher is asked each time, also for what is open: it learns of other repositories that have it.
      opening = this.#ask(ref).finally(() => this.#opening.delete(key));
      this.#opening.set(key, opening);
    }
    const { digest } = ref;
    this.#expected.set(digest, (this.#expected.get(digest) ?? 0) + 1);
    try {
      const spec = await opening;
      this.add(spec);
      return spec;
    } finally {
      const expected = (this.#expected.get(digest) ?? 0) - 1;
      if (expected > 0) this.#expected.set(digest, expected);
      else this.#expected.delete(digest);
      this.#closeUnused(digest);
    }
  }

  /** One more user of a blob that the fetcher counts as this thread's. */
  add(spec: CachedSpec): void {
    const open = this.#blobs.get(spec.blob);
    if (open) open.count++;
    else this.#blobs.set(spec.blob, { spec, count: 1 });
  }

  close(blob: number): void {
    const open = this.#blobs.get(blob);
    if (!open || --open.count > 0) return;
    this.#closeUnused(open.spec.digest);
  }

  /** While an answer is on its way that may name the blob, it stays open. */
  #closeUnused(digest: string): void {
    if (this.#expected.has(digest)) return;
    for (const [blob, { spec, count }] of this.#blobs) {
      if (count > 0 || spec.digest !== digest) continue;
      this.#blobs.delete(blob);
      this.#close(blob);
    }
  }
}
