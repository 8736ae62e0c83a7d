// One request for neighbouring chunks: each is kept as soon as it is complete, so that reads that wait for it do
// not wait for the others, and chunks that came before a failure stay.

import type { RegistryRef } from '../blob/blob-ref.js';
import { CHUNK_SIZE, chunkLength } from '../blob/chunk-map.js';
import type { CachedBlob } from '../cache/cached-blob.js';
import type { OverlaybdError } from '../errors.js';
import type { FetchClass, RegistryClient } from '../registry/http/client.js';

/** The part of the registry client that the fetcher uses for blobs. */
export type RangeClient = Pick<RegistryClient, 'fetchRange'>;

export interface TransferParts {
  readonly client: RangeClient;
  readonly ref: RegistryRef;
  readonly cached: CachedBlob;
  /** Chunks that this process may fetch; both are included. */
  readonly first: number;
  readonly last: number;
  readonly class: FetchClass;
  readonly deadline: number;
  readonly fromOrigin: boolean;
  /** Called when a chunk can be read. */
  readonly arrived: (chunk: number) => void;
}

export class Transfer {
  readonly #parts: TransferParts;
  readonly #abort = new AbortController();
  readonly #writes = new Set<Promise<void>>();
  #failure: Error | null = null;
  /** The chunk that is being received. */
  #chunk: number;
  #filled = 0;
  #buffer: Buffer | null = null;

  constructor(parts: TransferParts) {
    this.#parts = parts;
    this.#chunk = parts.first;
  }

  /**
   * Ends when the chunks that came are kept, also if the request failed.
   * @returns the host that was asked; null if it was more than one
   * @throws OverlaybdError that of the client
   */
  async run(): Promise<string | null> {
    const { client, ref, cached, first, last, deadline, fromOrigin } = this.#parts;
    const { signal } = this.#abort;
    const size = cached.spec.size;
    const request = {
      ref,
      first: first * CHUNK_SIZE,
      last: Math.min((last + 1) * CHUNK_SIZE, size) - 1,
      class: this.#parts.class,
      deadlineMs: deadline,
      fromOrigin,
    };
    const aborted = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    const take = (offset: number, bytes: Uint8Array): void => {
      if (!signal.aborted) this.#take(offset, bytes);
    };
    let host: string | null = null;
    try {
      // Whatever the client does, an aborted transfer ends.
      host = await Promise.race([client.fetchRange(request, take, signal), aborted]);
      if (this.#chunk <= last)
        throw new Error(`chunk ${this.#chunk} of ${ref.digest} did not come`);
    } finally {
      aborted.catch(() => undefined);
      await Promise.all(this.#writes);
    }
    if (this.#failure) throw this.#failure;
    return host;
  }

  /** Ends it; what it receives from now on is dropped. */
  abort(why: OverlaybdError): void {
    this.#abort.abort(why);
  }

  #take(offset: number, bytes: Uint8Array): void {
    const { size } = this.#parts.cached.spec;
    if (offset !== this.#chunk * CHUNK_SIZE + this.#filled) {
      throw new Error(`bytes at ${offset} do not go on where the last ones ended`);
    }
    for (let at = 0; at < bytes.length;) {
      const length = chunkLength(size, this.#chunk);
      const n = Math.min(length - this.#filled, bytes.length - at);
      if (n <= 0) throw new Error(`bytes past the end of chunk ${this.#parts.last}`);
      const piece = bytes.subarray(at, at + n);
      at += n;
      // Copied in any case: the client may use its memory again.
      this.#buffer ??= Buffer.allocUnsafeSlow(CHUNK_SIZE);
      this.#buffer.set(piece, this.#filled);
      this.#filled += n;
      if (this.#filled < length) continue;
      this.#write(this.#buffer.subarray(0, length));
      // Those bytes belong to the cache until they are written.
      this.#buffer = null;
    }
  }

  /** @param bytes nothing else is written there from now on */
  #write(bytes: Uint8Array): void {
    const chunk = this.#chunk++;
    this.#filled = 0;
    const { cached, arrived } = this.#parts;
    const write = cached
      .write(chunk, bytes)
      .then(() => arrived(chunk))
      .catch((error: Error) => {
        this.#failure = error;
      })
      .finally(() => this.#writes.delete(write));
    this.#writes.add(write);
  }
}
