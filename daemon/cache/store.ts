// The cache of blobs, in the thread of the fetcher: opens blobs, and says how the cache is.

import type { RegistryRef } from '../blob/blob-ref.js';
import type { CachedSpec } from '../blob/cached-source.js';
import type { RegistrySettings } from '../config/registry-settings.js';
import type { Logger } from '../log/logger.js';
import type {
  CacheCheck,
  CachedBlob,
  CacheEntry,
  CacheStatus,
  KnownManifests,
} from './cached-blob.js';

export type CacheSettings = Pick<RegistrySettings, 'cacheFolder' | 'cacheMinFree' | 'cacheSize'>;

export class CacheStore {
  readonly manifests: KnownManifests;

  private constructor() {
    throw new Error('not yet');
  }

  /** Never rejects: without a folder that it can use, chunks are kept in memory. */
  static open(_settings: CacheSettings, _log: Logger): Promise<CacheStore> {
    throw new Error('not yet');
  }

  /**
   * Every call needs a `release` of its own. Never rejects because of the disk.
   * @param _spec of a fetcher that died: its readers go on with the number, the descriptors and the map, so the
   *   blob keeps them, and no other gets the number
   */
  blob(_ref: RegistryRef, _spec?: CachedSpec): Promise<CachedBlob> {
    throw new Error('not yet');
  }

  status(): CacheStatus {
    throw new Error('not yet');
  }

  list(): Promise<CacheEntry[]> {
    throw new Error('not yet');
  }

  /** @throws OverlaybdError BUSY if a process has it open, NOT_FOUND */
  remove(_digest: string): Promise<void> {
    throw new Error('not yet');
  }

  /** Removes what nothing needs. @returns bytes that this freed */
  gc(): Promise<number> {
    throw new Error('not yet');
  }

  verify(): Promise<CacheCheck[]> {
    throw new Error('not yet');
  }

  close(): Promise<void> {
    throw new Error('not yet');
  }
}
