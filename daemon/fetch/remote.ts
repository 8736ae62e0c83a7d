// The fetcher as image/ sees it: a thread's line to it, and the main thread's view of all of it.

import type { RegistryRef } from '../blob/blob-ref.js';
import type { CachedSpec } from '../blob/cached-source.js';
import type { ChunkDigests } from '../blob/chunk-digests.js';
import type { RecordsPlace, Remote, RemoteImages, RemoteLine } from '../registry/remote.js';
import type { GivenIndex, ResolvedImage } from '../registry/manifest-source.js';
import { parseReference } from '../registry/reference.js';
import { FetchClient } from './client.js';
import type { Fetcher } from './fetcher.js';
import type { ChunkRun, ResolveQuestion } from './messages.js';

/** What opening an image asks the fetcher, by the client of its thread. */
export class FetchedImages implements RemoteImages {
  readonly #client: FetchClient;
  readonly #question: () => ResolveQuestion;

  constructor(client: FetchClient, question: () => ResolveQuestion) {
    this.#client = client;
    this.#question = question;
  }

  /** In a thread that got a line. */
  static of({ port, platform, pull }: RemoteLine): FetchedImages {
    return new FetchedImages(new FetchClient(port), () => ({ platform, pull }));
  }

  async resolve(reference: string, index: GivenIndex | null = null): Promise<ResolvedImage> {
    const question = { ...this.#question(), ...(index && { index }) };
    const parsed = parseReference(reference);
    if (parsed.kind !== 'registry') {
      // The fetcher is not started for what is on this machine, and a start that has no such image loads no parser.
      const { resolveLocal } = await import('../registry/resolve-local.js');
      return resolveLocal(parsed, question.platform, index);
    }
    return this.#client.resolve(reference, question);
  }

  open(ref: RegistryRef): Promise<CachedSpec> {
    return this.#client.open(ref);
  }

  close(blob: number): void {
    this.#client.close(blob);
  }

  want(blob: number, firstChunk: number, lastChunk: number): Promise<void> {
    return this.#client.want(blob, firstChunk, lastChunk);
  }

  hint(blob: number, firstChunk: number, lastChunk: number): void {
    this.#client.hint(blob, firstChunk, lastChunk);
  }

  refetch(blob: number, firstChunk: number, lastChunk: number): Promise<void> {
    return this.#client.refetch(blob, firstChunk, lastChunk);
  }

  doubt(blob: number, runs: readonly ChunkRun[]): Promise<boolean> {
    return this.#client.doubt(blob, runs);
  }

  setDigests(blob: number, digests: ChunkDigests, generation: number | null): Promise<void> {
    return this.#client.setDigests(blob, digests, generation);
  }

  makeRoom(bytes: number, file: string): Promise<string | null> {
    return this.#client.cache({ do: 'room', bytes, file });
  }

  sizeOf(blob: Omit<RegistryRef, 'kind' | 'size'>): Promise<number> {
    return this.#client.sizeOf(blob);
  }

  drop(blob: number, firstChunk: number, lastChunk: number): void {
    this.#client.drop(blob, firstChunk, lastChunk);
  }
}

/** The fetcher of a process. */
export class FetcherRemote implements Remote {
  readonly #fetcher: Fetcher;
  readonly #question: () => ResolveQuestion;
  #images: FetchedImages | null = null;

  /** @param question how tags are resolved now */
  constructor(fetcher: Fetcher, question: () => ResolveQuestion) {
    this.#fetcher = fetcher;
    this.#question = question;
  }

  images(): RemoteImages {
    return (this.#images ??= new FetchedImages(this.#fetcher.client(), this.#question));
  }

  records(): RecordsPlace | null {
    return this.#fetcher.records;
  }

  connect(): RemoteLine | null {
    if (this.#images === null) return null;
    const { platform, pull } = this.#question();
    return { port: this.#fetcher.connect(), platform, pull };
  }

  adopt(ref: RegistryRef, spec: CachedSpec): void {
    this.#fetcher.adopt(ref, spec);
  }
}
