// Has chunks fetched in the class of traces: reads of clients go first.

import type { CachedSpec, ChunkFetcher } from '../blob/cached-source.js';
import { errorOf } from '../lib/fault.js';
import type { FetchClient } from './client.js';

export class TraceFetcher implements ChunkFetcher {
  readonly #client: FetchClient;
  readonly #blobs: ReadonlyMap<number, CachedSpec>;
  readonly #signal: AbortSignal;

  /**
   * @param blobs that are read
   * @param signal ends what waits, with BUSY
   */
  constructor(client: FetchClient, blobs: readonly CachedSpec[], signal: AbortSignal) {
    this.#client = client;
    this.#blobs = new Map(blobs.map((spec) => [spec.blob, spec]));
    this.#signal = signal;
  }

  async want(blob: number, first: number, last: number): Promise<void> {
    const spec = this.#blobs.get(blob);
    if (!spec) throw errorOf('BUG', {}, `no blob ${blob}`);
    const entries = [{ digest: spec.digest, first, last }];
    const present = await this.#unlessEnded(this.#client.trace({ do: 'replay', entries }));
    if (present === last - first + 1) return;
    const what = `chunks ${first} to ${last} cannot be fetched`;
    throw errorOf('REMOTE', { blob: spec.name, digest: spec.digest }, what);
  }

  refetch(blob: number, first: number, last: number): Promise<void> {
    return this.#unlessEnded(this.#client.refetch(blob, first, last));
  }

  hint(): void {
    // What is needed is asked for.
  }

  drop(blob: number, first: number, last: number): void {
    this.#client.drop(blob, first, last);
  }

  #unlessEnded<T>(work: Promise<T>): Promise<T> {
    const signal = this.#signal;
    return new Promise((resolve, reject) => {
      const end = (): void => reject(errorOf('BUSY', {}, 'the image is being closed'));
      if (signal.aborted) end();
      signal.addEventListener('abort', end);
      const done = (): void => signal.removeEventListener('abort', end);
      work.then(resolve, reject).finally(done);
    });
  }
}
