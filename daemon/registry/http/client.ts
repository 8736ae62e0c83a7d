// The client of registries: manifests, referrers and ranges of blobs, over mirrors, with tokens, retries and
// deadlines. For the fetcher's thread.

import { OverlaybdError } from '../../errors.js';
import type { RegistrySettings } from '../../config/registry-settings.js';
import type { Counters } from './counters.js';
import type {
  ManifestAnswer,
  ManifestOptions,
  NotModified,
  RangeRequest,
  TakeBytes,
} from './range-request.js';

export type * from './range-request.js';

/** What the client takes from outside itself, so that tests can have a clock and files of their own. */
export interface ClientSeams {
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  readonly log: (line: string) => void;
  readonly counters: Counters;
}

export interface HostStatus {
  readonly host: string;
  readonly kind: 'registry' | 'mirror' | 'p2p' | 'store' | 'tokens';
  readonly breaker: 'closed' | 'open' | 'probing';
  /** One sentence without secrets; null: none yet. */
  readonly lastError: string | null;
}

export class RegistryClient {
  constructor(settings: RegistrySettings, seams: Partial<ClientSeams> = {}) {
    void settings;
    void seams;
  }

  /**
   * Fetches one range, until its deadline: with retries, tokens, redirects, and mirrors before the origin. What
   * a broken response delivered whole is not asked for again.
   * @throws OverlaybdError REMOTE or AUTH, with the facts host, status, attempts, digest, range, seconds
   */
  fetchRange(request: RangeRequest, take: TakeBytes, signal: AbortSignal): Promise<void> {
    void [request, take, signal];
    return Promise.reject(new OverlaybdError('REMOTE', 'not there yet'));
  }

  manifest(
    host: string,
    repository: string,
    reference: string,
    accept: readonly string[],
  ): Promise<ManifestAnswer>;
  manifest(
    host: string,
    repository: string,
    reference: string,
    accept: readonly string[],
    options: ManifestOptions,
  ): Promise<ManifestAnswer | NotModified>;
  /**
   * @param reference a tag or a digest; the digest is checked
   * @throws OverlaybdError as {@link fetchRange}; NOT_FOUND if the registry has no such manifest
   */
  manifest(
    host: string,
    repository: string,
    reference: string,
    accept: readonly string[],
    options: ManifestOptions = {},
  ): Promise<ManifestAnswer | NotModified> {
    void [host, repository, reference, accept, options];
    return Promise.reject(new OverlaybdError('REMOTE', 'not there yet'));
  }

  /** The index of what refers to a manifest, of all pages; null: none, or the registry cannot say. */
  referrers(host: string, repository: string, digest: string): Promise<Uint8Array | null> {
    void [host, repository, digest];
    return Promise.resolve(null);
  }

  hosts(): HostStatus[] {
    return [];
  }

  /** Takes other settings from the next request on. */
  update(settings: RegistrySettings): void {
    void settings;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
