// The blobs that are open in the fetcher, and the threads that have them open.

import { describeRef, type RegistryRef } from '../blob/blob-ref.js';
import type { CachedSpec } from '../blob/cached-source.js';
import { ChunkDigests } from '../blob/chunk-digests.js';
import { MAP_HITS, MAP_MISSES, MAX_BLOB_BYTES } from '../blob/chunk-map.js';
import type { CachedBlob } from '../cache/cached-blob.js';
import type { ErrorFacts } from '../errors.js';
import { errorOf, overLimit } from '../lib/fault.js';
import { FetchBlob } from './fetch-blob.js';
import { MAX_OPEN_BLOBS } from './limits.js';
import { Refetched } from './refetched.js';
import type { HeldBlob } from './messages.js';
import type { BlobStatus } from './status.js';

/** The part of the cache that this file uses. */
export interface BlobStore {
  blob(ref: RegistryRef, spec?: CachedSpec): Promise<CachedBlob>;
}

export class OpenBlob extends FetchBlob {
  /** Numbers of connections. */
  readonly holders = new Set<number>();
  /** For its reads. */
  readonly refetched = new Refetched();
  /** For openings that failed; it outlives this object. Null: none did. */
  doubted: Refetched | null = null;

  override isOriginOnly(chunk: number, now: number): boolean {
    return this.refetched.isRecent(chunk, now) || (this.doubted?.isRecent(chunk, now) ?? false);
  }

  override cameFromElsewhere(chunk: number, now: number): void {
    this.refetched.cameFromElsewhere(chunk, now);
    this.doubted?.cameFromElsewhere(chunk, now);
  }

  /** The registries may have other bytes now. */
  forgetRefetched(): void {
    this.refetched.clear();
    this.doubted = null;
  }

  status(): BlobStatus {
    const { map, spec } = this.cached;
    const { host, repository } = this.ref;
    return {
      blob: spec.blob,
      digest: spec.digest,
      host,
      repository,
      size: spec.size,
      hits: map.counted(MAP_HITS),
      misses: map.counted(MAP_MISSES),
      present: map.isComplete || this.chunks === 0 ? 1 : map.count() / this.chunks,
      isComplete: map.isComplete,
      holders: this.holders.size,
      waiting: this.waiting,
      lastError: this.lastError,
    };
  }
}

export interface BlobReports {
  readonly opened: (connection: number, ref: RegistryRef, spec: CachedSpec) => void;
  readonly closed: (connection: number, blob: number) => void;
  /** What is remembered of openings of a blob of this name; null: nothing. */
  readonly doubtedOf: (ref: RegistryRef) => Refetched | null;
  /** @returns when nothing uses the blob any more */
  readonly stop: (blob: OpenBlob) => Promise<void>;
}

export class Blobs {
  readonly #store: BlobStore;
  readonly #reports: BlobReports;
  readonly #byNumber = new Map<number, OpenBlob>();
  /** By {@link nameOf}; also those that are being opened. */
  readonly #byName = new Map<string, Promise<OpenBlob>>();

  constructor(store: BlobStore, reports: BlobReports) {
    this.#store = store;
    this.#reports = reports;
  }

  get all(): Iterable<OpenBlob> {
    return this.#byNumber.values();
  }

  /** @throws OverlaybdError IO if it is not open: a mistake of ours, or its opener ended too early */
  get(number: number): OpenBlob {
    const blob = this.#byNumber.get(number);
    if (blob) return blob;
    throw errorOf('IO', {}, `blob ${number} is not open in the fetcher`);
  }

  find(number: number): OpenBlob | undefined {
    return this.#byNumber.get(number);
  }

  /** Opens the blobs again that a fetcher had open when it died. */
  async restore(held: readonly HeldBlob[]): Promise<void> {
    await Promise.all(
      held.map(async ({ ref, spec, holders, digests }) => {
        // If it cannot be opened, its readers get that error when they ask for something.
        const blob = await this.#openOnce(ref, spec).catch(() => null);
        if (!blob) return;
        for (const holder of holders) blob.holders.add(holder);
        // What is present was checked by the one that died.
        const { map } = blob.cached;
        if (digests) blob.cached.setDigests(new ChunkDigests(digests), map.generation);
      }),
    );
  }

  /**
   * Opens a blob for a connection; more than once is the same as once.
   * @throws OverlaybdError LIMIT
   */
  async open(connection: number, ref: RegistryRef): Promise<OpenBlob> {
    if (ref.size > MAX_BLOB_BYTES) {
      throw overLimit(factsOfBlob(ref), ref.size, 'bytes by its descriptor', MAX_BLOB_BYTES);
    }
    if (!this.#byName.has(nameOf(ref)) && this.#byName.size >= MAX_OPEN_BLOBS) {
      const what = `${MAX_OPEN_BLOBS} blobs are open already; remove exports, or start another daemon`;
      throw errorOf('LIMIT', { ...factsOfBlob(ref), expected: `at most ${MAX_OPEN_BLOBS}` }, what);
    }
    const blob = await this.#openOnce(ref);
    blob.alsoAt(ref);
    blob.holders.add(connection);
    this.#reports.opened(connection, blob.ref, blob.cached.spec);
    return blob;
  }

  /** A thread takes over what another one has open. */
  adopt(connection: number, number: number): void {
    this.#byNumber.get(number)?.holders.add(connection);
  }

  async close(connection: number, number: number): Promise<void> {
    const blob = this.#byNumber.get(number);
    if (!blob?.holders.delete(connection)) return;
    this.#reports.closed(connection, number);
    await this.#closeUnused(blob);
  }

  /** Closes what a connection has open, but for some. */
  async closeAll(connection: number, but: readonly number[] = []): Promise<void> {
    const kept = new Set(but);
    for (const [number, { holders }] of this.#byNumber) {
      if (holders.has(connection) && !kept.has(number)) await this.close(connection, number);
    }
  }

  #openOnce(ref: RegistryRef, spec?: CachedSpec): Promise<OpenBlob> {
    const name = nameOf(ref);
    const known = this.#byName.get(name);
    if (known) return known;
    const opening = this.#store.blob(ref, spec).then((cached) => {
      const blob = new OpenBlob(ref, cached);
      blob.doubted = this.#reports.doubtedOf(ref);
      this.#byNumber.set(cached.spec.blob, blob);
      return blob;
    });
    this.#byName.set(name, opening);
    opening.catch(() => this.#byName.delete(name));
    return opening;
  }

  async #closeUnused(blob: OpenBlob): Promise<void> {
    const { blob: number } = blob.cached.spec;
    if (blob.holders.size > 0 || this.#byNumber.get(number) !== blob) return;
    this.#byNumber.delete(number);
    this.#byName.delete(nameOf(blob.ref));
    await this.#reports.stop(blob);
    blob.settlePrefetched(true);
    blob.cached.release();
  }
}

/** The name includes the size, so that a manifest with a wrong size does no harm to those with the right one. */
export function nameOf({ digest, size }: Pick<RegistryRef, 'digest' | 'size'>): string {
  return `${digest} ${size}`;
}

function factsOfBlob(ref: RegistryRef): ErrorFacts {
  return { blob: describeRef(ref), digest: ref.digest };
}
