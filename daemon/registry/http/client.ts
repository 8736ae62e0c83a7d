// The client of registries: manifests, referrers and ranges of blobs, over mirrors, with tokens, retries and
// deadlines. For the fetcher's thread. Puts the parts together; the parts do the work.

import type { RegistryRef } from '../../blob/blob-ref.js';
import type { RegistrySettings } from '../../config/registry-settings.js';
import { OverlaybdError } from '../../errors.js';
import { monotonicMs } from '../../lib/clock.js';
import type { FetchedManifest, ManifestSource, NotModified } from '../manifest-source.js';
import { Asker } from './asker.js';
import { BlobReader } from './blob-reader.js';
import { BlobRequests } from './blob-request.js';
import { Counters } from './counters.js';
import { Credentials } from './credentials.js';
import { Endpoints, type EndpointFiles } from './endpoints.js';
import { Hosts, type HostStatus } from './hosts.js';
import { DEFAULT_LIMITS, type HttpLimits } from './limits.js';
import { Locations } from './locations.js';
import { Logins } from './login.js';
import { askSystem, cachedLookup, type ResolveName } from './lookup.js';
import { ManifestReader } from './manifest-reader.js';
import { Pools } from './pools.js';
import { proxySettings } from './proxy.js';
import { ReferrersReader } from './referrers-reader.js';
import type { ManifestOptions, RangeRequest, TakeBytes } from './range-request.js';
import { TlsContexts } from './tls.js';
import { Tokens } from './tokens.js';
import { Wire } from './wire.js';

export type * from './range-request.js';
export type { HostStatus } from './hosts.js';

/** What the client takes from outside itself, so that tests can have clocks, limits and files of their own. */
export interface ClientSeams {
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly log: (line: string) => void;
  readonly counters: Counters;
  /** The addresses of a host. */
  readonly resolveName: ResolveName;
  /** For proxies and the places of credentials. */
  readonly env: NodeJS.ProcessEnv;
  readonly limits: Partial<HttpLimits>;
  /** Whether a host that has never taken a connection is tried until the deadline: not while a person waits. */
  readonly isPatient: boolean;
  /** Where configuration files of this system are. */
  readonly files: EndpointFiles;
}

export class RegistryClient implements ManifestSource {
  #settings: RegistrySettings;
  readonly #now: () => number;
  readonly #pools: Pools;
  readonly #endpoints: Endpoints;
  readonly #credentials: Credentials;
  readonly #hosts: Hosts;
  /** Repositories whose login is being looked for. */
  readonly #preparing = new Set<string>();
  readonly #blobs: BlobReader;
  readonly #manifests: ManifestReader;
  readonly #referrers: ReferrersReader;

  constructor(settings: RegistrySettings, seams: Partial<ClientSeams> = {}) {
    const {
      now = monotonicMs,
      random = Math.random,
      resolveName = askSystem,
      log = () => undefined,
      counters = new Counters(),
      env = process.env,
      isPatient = true,
    } = seams;
    const limits = { ...DEFAULT_LIMITS, ...seams.limits };
    this.#settings = settings;
    this.#now = now;
    this.#pools = new Pools(limits, {
      lookup: cachedLookup(now, resolveName),
      now,
      took: (host, phase, ms) => counters.of(host).seconds[phase].add(ms / 1000),
    });
    this.#endpoints = new Endpoints(settings, {
      ...seams.files,
      env,
      now,
      log,
      filesMs: limits.filesMs,
    });
    const tls = new TlsContexts({ env, now, filesMs: limits.filesMs });
    this.#credentials = new Credentials(settings, { env, limits, now, log, tls });
    const hosts = (this.#hosts = new Hosts(limits, now));
    const endpoints = this.#endpoints;
    const wire = new Wire(this.#pools, limits, counters, now);
    const tokens = new Tokens({
      send: (request, endpoint, signal) =>
        asker.send(endpoint, { ...request, kind: 'token' }, signal),
      credentials: this.#credentials,
      hosts,
      limits,
      counters,
      now,
      log,
    });
    const logins = new Logins(tokens, this.#credentials);
    const proxies = proxySettings(env);
    const onPlain = (host: string): void => endpoints.plain(host);
    const asker = new Asker({ wire, logins, tls, limits, proxies, onPlain });
    const requests = new BlobRequests({ asker, hosts, locations: new Locations(), limits, log });
    this.#blobs = new BlobReader({
      requests,
      endpoints,
      hosts,
      limits,
      counters,
      now,
      random,
      log,
      isPatient,
    });
    this.#manifests = new ManifestReader({
      asker,
      endpoints,
      hosts,
      limits,
      now,
      random,
      isPatient,
    });
    this.#referrers = new ReferrersReader({ asker, manifests: this.#manifests, limits, now });
  }

  /**
   * Fetches one range, until its deadline: with retries, tokens, redirects, and mirrors before the origin. What
   * a broken response delivered is not asked for again.
   * @returns the host of the registry or mirror that was asked; null if it was more than one
   * @throws OverlaybdError REMOTE, AUTH or NOT_FOUND, with the facts host, status, attempts, digest, range, seconds;
   *   the reason of the signal
   */
  async fetchRange(
    request: RangeRequest,
    take: TakeBytes,
    signal: AbortSignal,
  ): Promise<string | null> {
    this.#checkOnline(request.ref);
    return this.#blobs.read(request, take, signal);
  }

  /** The first bytes of a blob, fewer if it is shorter. @throws as {@link fetchRange} */
  async head(ref: RegistryRef, length: number, fromOrigin = false): Promise<Uint8Array> {
    const last = Math.min(length, ref.size) - 1;
    const bytes = new Uint8Array(last + 1);
    if (last < 0) return bytes;
    const deadlineMs = this.#deadlineMs();
    const request = {
      ref,
      first: 0,
      last,
      class: 'demand',
      deadlineMs,
      fromOrigin,
    } as const;
    const take: TakeBytes = (offset, piece) => bytes.set(piece, offset);
    await this.fetchRange(request, take, new AbortController().signal);
    return bytes;
  }

  /** The size of a blob that no descriptor has, as the registry itself says it: nothing shows that a mirror is wrong. @throws as {@link fetchRange} */
  async sizeOf({ host, repository, digest }: Omit<RegistryRef, 'kind' | 'size'>): Promise<number> {
    let size = 0;
    const request = {
      ref: { host, repository, digest, size: null },
      first: 0,
      last: 0,
      class: 'demand',
      deadlineMs: this.#deadlineMs(),
      fromOrigin: true,
      sized: (bytes: number) => (size = bytes),
    } as const;
    await this.fetchRange(request, () => undefined, new AbortController().signal);
    return size;
  }

  /** All bytes of a blob that is small. @param fromOrigin no mirror is asked. @throws as {@link fetchRange} */
  blob(ref: RegistryRef, fromOrigin = false): Promise<Uint8Array> {
    return this.head(ref, ref.size, fromOrigin);
  }

  manifest(
    host: string,
    repository: string,
    reference: string,
    accept: readonly string[],
  ): Promise<FetchedManifest>;
  manifest(
    host: string,
    repository: string,
    reference: string,
    accept: readonly string[],
    options: ManifestOptions,
  ): Promise<FetchedManifest | NotModified>;
  /**
   * @param reference a tag or a digest; the digest is checked
   * @throws OverlaybdError as {@link fetchRange}; NOT_FOUND if the registry has no such manifest; LIMIT
   */
  async manifest(
    host: string,
    repository: string,
    reference: string,
    accept: readonly string[],
    { known = null, deadlineMs = this.#deadlineMs(), signal }: ManifestOptions = {},
  ): Promise<FetchedManifest | NotModified> {
    this.#checkOnline({ host, repository, digest: reference });
    const request = { host, repository, reference, accept, known, deadlineMs };
    return this.#manifests.read(request, signal ?? null);
  }

  /**
   * The index of what refers to a manifest, of all pages; null: none, or the registry cannot say, or does not answer:
   * an image is not refused for that.
   */
  async referrers(host: string, repository: string, digest: string): Promise<Uint8Array | null> {
    if (this.#settings.offline) return null;
    return this.#referrers.read(host, repository, digest, this.#deadlineMs());
  }

  /**
   * Begins to look for the login of a repository, so that no request has to wait for a slow helper. Errors come when
   * the login is needed. With `--pull never` there may be no request, so nobody is asked for a login before there is one.
   */
  prepare(host: string, repository: string): void {
    const key = `${host}/${repository}`;
    const { offline, pull } = this.#settings;
    if (offline || pull === 'never' || this.#preparing.has(key)) return;
    this.#preparing.add(key);
    const signal = AbortSignal.timeout(this.#settings.fetchDeadline * 1000);
    void this.#credentials
      .get(host, repository, false, signal)
      .catch(() => undefined)
      .finally(() => this.#preparing.delete(key));
  }

  hosts(): HostStatus[] {
    return this.#hosts.list();
  }

  /** Takes other settings from the next request on. */
  update(settings: RegistrySettings): void {
    this.#settings = settings;
    this.#endpoints.update(settings);
    this.#credentials.update(settings);
  }

  /** Ends all requests and connections. */
  close(): Promise<void> {
    return this.#pools.close();
  }

  #deadlineMs(): number {
    return this.#now() + this.#settings.fetchDeadline * 1000;
  }

  /** @param about a blob, or a manifest by its digest or its tag */
  #checkOnline({ host, repository, digest }: Omit<RegistryRef, 'kind' | 'size'>): void {
    if (!this.#settings.offline) return;
    const isDigest = digest.includes(':');
    const name = `${host}/${repository}${isDigest ? '@' : ':'}${digest}`;
    const why = `not in the cache, and the network is not used (--offline): fetch its image with "overlaybd-nbd warm" first`;
    const facts = { host, ...(isDigest ? { digest } : { image: name }) };
    throw new OverlaybdError('REMOTE', `${name}: ${why}`, { facts });
  }
}
