// A registry whose blobs may be in the cache: the start of a cached blob is not fetched again. A small blob as a whole is always
// asked of the registry: RepositoryManifests keeps those, so that an image opens again without its registry.

import type { RegistryRef } from '../blob/blob-ref.js';
import { CachedSource, type ChunkFetcher } from '../blob/cached-source.js';
import { readFully } from '../blob/source.js';
import type { CachedBlob } from '../cache/cached-blob.js';
import { errorOf } from '../lib/fault.js';
import type { ManifestSource } from '../registry/manifest-source.js';
import { describeRef } from '../blob/blob-ref.js';

/** Opens a blob of the cache while it is used. */
export type WithBlob = <T>(
  ref: RegistryRef,
  use: (blob: Pick<CachedBlob, 'spec' | 'present'>) => Promise<T>,
) => Promise<T>;

export class CachedHeads implements ManifestSource {
  /** The registry's own. */
  readonly manifest: ManifestSource['manifest'];
  readonly #source: ManifestSource;
  readonly #withBlob: WithBlob;

  constructor(source: ManifestSource, withBlob: WithBlob) {
    this.#source = source;
    this.manifest = source.manifest.bind(source);
    this.#withBlob = withBlob;
  }

  referrers(host: string, repository: string, digest: string): Promise<Uint8Array | null> {
    return this.#source.referrers(host, repository, digest);
  }

  async head(ref: RegistryRef, length: number): Promise<Uint8Array> {
    const kept = await this.#withBlob(ref, async (blob) => {
      if (ref.size === 0 || !(await blob.present(0))) return null;
      return readFully(new CachedSource(blob.spec, GONE), 0, Math.min(length, ref.size));
    }).catch(() => null);
    return kept ?? (await this.#source.head?.(ref, length)) ?? Buffer.alloc(0);
  }

  blob(ref: RegistryRef, fromOrigin?: boolean): Promise<Uint8Array> {
    if (this.#source.blob) return this.#source.blob(ref, fromOrigin);
    const facts = { blob: describeRef(ref), digest: ref.digest };
    return Promise.reject(errorOf('NOT_FOUND', facts, 'not a manifest'));
  }
}

const gone = (): Promise<never> =>
  Promise.reject(errorOf('IO', {}, 'the chunk was evicted meanwhile'));
/** If it is not there, the registry is asked. */
const GONE: ChunkFetcher = {
  want: gone,
  refetch: gone,
  hint: () => undefined,
  drop: () => undefined,
};
