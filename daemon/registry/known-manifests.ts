// Manifests of one repository: known ones of this machine, or the registry's, as the pull policy
// says.

import type { PullPolicy } from '../config/registry-settings.js';
import { OverlaybdError, messageOf } from '../errors.js';
import { aboutOf, errorOf, type About } from '../lib/fault.js';
import { inTime } from '../lib/in-time.js';
import { checkBytes } from './digest.js';
import { sha256Of } from '../lib/sha256.js';
import type {
  FetchedManifest,
  KnownManifests,
  ManifestSource,
  NotModified,
} from './manifest-source.js';
import { ACCEPTED } from './media-types.js';
import { SilentHosts } from './silent-hosts.js';

/** How long an opening waits to hear whether a tag that is known has moved. */
const NEWER_PATIENCE_MS = 2000;

export interface Waiting {
  readonly patienceMs?: number | undefined;
  /** Hosts that gave no answer a moment ago, of all openings: those are not waited for again. */
  readonly silent?: SilentHosts | undefined;
}

export interface Repository {
  readonly host: string;
  readonly repository: string;
}

export class RepositoryManifests {
  /** Sentences for the operator, as things happen. */
  readonly notes: string[] = [];
  /** Whether the registry has failed to say whether a tag has moved: what is known is used. */
  #isUnreachable = false;
  /** What tags stand for now, until {@link keepTags}. */
  readonly #moved = new Map<string, string>();
  #before: FetchedManifest | null = null;
  readonly #where: Repository;
  readonly #pull: PullPolicy;
  readonly #source: ManifestSource;
  readonly #known: KnownManifests;
  readonly #patienceMs: number;
  readonly #silent: SilentHosts;

  constructor(
    where: Repository,
    pull: PullPolicy,
    source: ManifestSource,
    known: KnownManifests,
    { patienceMs = NEWER_PATIENCE_MS, silent = new SilentHosts() }: Waiting = {},
  ) {
    this.#where = where;
    this.#pull = pull;
    this.#source = source;
    this.#known = known;
    this.#patienceMs = patienceMs;
    this.#silent = silent;
  }

  /**
   * By digest: what is known does not change.
   * @param mediaType of its descriptor; '' if there is none
   * @param name of the manifest, for messages
   * @throws OverlaybdError BAD_CHECKSUM for other bytes, NOT_FOUND, AUTH, REMOTE
   */
  async byDigest(digest: string, mediaType: string, name: About): Promise<FetchedManifest> {
    const known = await this.#knownBytes(digest);
    if (known) return { bytes: known, mediaType, digest };
    const { host, repository } = this.#where;
    this.#checkOnline(name);
    const fetched = await this.#source.manifest(host, repository, digest, ACCEPTED);
    checkBytes(fetched.bytes, digest, name);
    await this.#known.put(digest, fetched.bytes);
    return { bytes: fetched.bytes, mediaType: mediaType || fetched.mediaType, digest };
  }

  /** A small blob that was fetched before; null: it is not known. */
  knownBlob(digest: string): Promise<Uint8Array | null> {
    return this.#knownBytes(digest);
  }

  /**
   * A small blob, which is kept as manifests are. If it has other bytes, a mirror may be wrong: the registry itself is asked, once.
   * @param fetch gives null if there is no way to have it
   * @param name of the blob, for messages
   * @returns null if it is not there
   * @throws OverlaybdError BAD_CHECKSUM for other bytes, AUTH, REMOTE
   */
  async blob(
    digest: string,
    name: About,
    fetch: (fromOrigin: boolean) => Promise<Uint8Array | null>,
  ): Promise<Uint8Array | null> {
    const known = await this.#knownBytes(digest);
    if (known) return known;
    if (this.#pull === 'never') return null;
    let bytes = await orNull(() => fetch(false));
    if (bytes && sha256Of(bytes) !== digest) bytes = await orNull(() => fetch(true));
    if (!bytes) return null;
    checkBytes(bytes, digest, name);
    await this.#known.put(digest, bytes);
    return bytes;
  }

  /**
   * By tag.
   * @param none digest of what is known instead of a tag that does not exist
   * @throws OverlaybdError NOT_FOUND, AUTH, REMOTE
   */
  async byTag(tag: string, name: string, none: string | null = null): Promise<FetchedManifest> {
    const known = this.#pull === 'always' ? null : await this.knownTag(tag);
    if (!known) {
      this.#checkOnline(name);
      return this.#fetchTag(tag);
    }
    if (this.prefersKnown) return known;
    const newer = await this.#newer(tag, known.digest, name, known.digest === none);
    if (newer) this.#before = known;
    return newer ?? known;
  }

  /** The known manifest that a tag stood for before it moved; null: it has not moved. */
  get before(): FetchedManifest | null {
    return this.#before;
  }

  /**
   * Keeps what tags stand for now. Not earlier than all of the image is known: until then the image that they
   * stood for is the one that opens without the registry.
   */
  async keepTags(): Promise<void> {
    const { host, repository } = this.#where;
    for (const [tag, digest] of this.#moved) {
      await this.#known.setTag(host, repository, tag, digest);
    }
    this.#moved.clear();
  }

  /** Stops asking what tags name now, and uses the known manifests. @param why a sentence */
  useKnown(name: string, known: string, why: string): void {
    this.#moved.clear();
    this.#isUnreachable = true;
    this.notes.push(`${name}: ${known} of the cache is used, which may be outdated: ${why}`);
  }

  /** Whether known manifests are used without asking the registry for newer ones. */
  get prefersKnown(): boolean {
    return this.#pull === 'never' || this.#pull === 'missing' || this.#isUnreachable;
  }

  /** An index of referrers by the API; null: none, or no answer in time although one is known. */
  async referrersByApi(digest: string, isKnown: boolean): Promise<Uint8Array | null> {
    const { host, repository } = this.#where;
    if (isKnown && this.#silent.has(host)) return null;
    let found: Uint8Array | null = null;
    const request = this.#source
      .referrers(host, repository, digest)
      .then((bytes) => (found = bytes));
    if (!isKnown) await request;
    else if (!(await inTime(request, this.#patienceMs))) this.#silent.add(host);
    return found;
  }

  /** Keeps an index of referrers as that of the fallback tag, also if the API has given it. */
  async remember(tag: string, bytes: Uint8Array, digest: string): Promise<void> {
    await this.#known.put(digest, bytes);
    this.#moved.set(tag, digest);
  }

  /** What a tag stood for when it was asked for last; null if that is not known in full. */
  async knownTag(tag: string): Promise<FetchedManifest | null> {
    const { host, repository } = this.#where;
    const known = await this.#known.tag(host, repository, tag);
    const bytes = known && (await this.#knownBytes(known.digest));
    return bytes && { bytes, mediaType: '', digest: known.digest };
  }

  async #knownBytes(digest: string): Promise<Uint8Array | null> {
    const bytes = await this.#known.get(digest);
    return bytes && sha256Of(bytes) === digest ? bytes : null;
  }

  async #fetchTag(tag: string): Promise<FetchedManifest> {
    const { host, repository } = this.#where;
    return this.#keep(tag, await this.#source.manifest(host, repository, tag, ACCEPTED));
  }

  async #keep(tag: string, fetched: FetchedManifest): Promise<FetchedManifest> {
    const digest = sha256Of(fetched.bytes);
    await this.remember(tag, fetched.bytes, digest);
    return { ...fetched, digest };
  }

  /**
   * @param isNone the tag did not exist when it was asked for last
   * @returns null if the tag has not moved, or that cannot be found out now
   */
  async #newer(
    tag: string,
    known: string,
    name: string,
    isNone: boolean,
  ): Promise<FetchedManifest | null> {
    const { host, repository } = this.#where;
    if (this.#silent.has(host)) {
      this.useKnown(name, known, `${host} gave no answer a moment ago`);
      return null;
    }
    const ending = new AbortController();
    const { signal } = ending;
    let answer: FetchedManifest | NotModified | undefined;
    try {
      const request = this.#source.manifest(host, repository, tag, ACCEPTED, { known, signal });
      await inTime(
        request.then((value) => (answer = value)),
        this.#patienceMs,
      );
    } catch (error) {
      if (!(error instanceof OverlaybdError)) throw error;
      if (!isNone || error.code !== 'NOT_FOUND') {
        this.useKnown(name, known, messageOf(error));
        return null;
      }
      answer = { notModified: true };
    } finally {
      ending.abort();
    }
    if (!answer) {
      this.#silent.add(host);
      this.useKnown(name, known, `no answer from ${host} within ${this.#patienceMs / 1000} s`);
      return null;
    }
    this.#silent.delete(host);
    if (!('notModified' in answer)) return this.#keep(tag, answer);
    await this.#known.setTag(host, repository, tag, known);
    return null;
  }

  /** @throws OverlaybdError NOT_FOUND if the network is not used */
  #checkOnline(name: About): void {
    if (this.#pull !== 'never') return;
    const { host } = this.#where;
    const why = `not in the cache, and the network is not used (--offline, --pull never): fetch it with "overlaybd-nbd warm" first`;
    throw errorOf('NOT_FOUND', { ...aboutOf(name), host }, why);
  }
}

async function orNull<T>(fetch: () => Promise<T | null>): Promise<T | null> {
  try {
    return await fetch();
  } catch (error) {
    if (error instanceof OverlaybdError && error.code === 'NOT_FOUND') return null;
    throw error;
  }
}
