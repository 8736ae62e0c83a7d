// Reads manifests and lists of referrers: over endpoints and retries like blobs, but whole and with a digest.

import { createHash } from 'node:crypto';
import type { FetchedManifest, NotModified } from '../manifest-source.js';
import { failureOfAnswer } from './answer.js';
import type { Asker } from './asker.js';
import { discard, readWhole } from './body.js';
import { innerUrlOf, originOf, type Endpoint } from './endpoint.js';
import type { Endpoints } from './endpoints.js';
import { Failure } from './failure.js';
import type { Hosts } from './hosts.js';
import { MAX_MANIFEST_BYTES, MAX_REDIRECTS, type HttpLimits } from './limits.js';
import { isRedirect, locationOf } from './location.js';
import { remoteError } from './remote-error.js';
import { Effort, inRounds } from './rounds.js';
import { Deadline, untilAborted } from './waiting.js';
import type { Incoming } from './wire.js';

export interface ManifestParts {
  readonly asker: Asker;
  readonly endpoints: Endpoints;
  readonly hosts: Hosts;
  readonly limits: HttpLimits;
  readonly now: () => number;
  readonly random: () => number;
  /** Whether a host that has never taken a connection is tried until the deadline. */
  readonly isPatient: boolean;
}

export interface ManifestRequest {
  readonly host: string;
  readonly repository: string;
  /** A tag or a digest. */
  readonly reference: string;
  readonly accept: readonly string[];
  /** The digest that the tag had last; null: none. */
  readonly known: string | null;
  /** In the time of the clock of the parts. */
  readonly deadlineMs: number;
}

const DIGEST = /^(sha256|sha512):[0-9a-f]{64,128}$/;

export class ManifestReader {
  readonly #parts: ManifestParts;

  constructor(parts: ManifestParts) {
    this.#parts = parts;
  }

  /** @throws OverlaybdError NOT_FOUND, AUTH, REMOTE, LIMIT; the reason of the signal */
  async read(
    request: ManifestRequest,
    signal: AbortSignal | null,
  ): Promise<FetchedManifest | NotModified> {
    const { host, repository, reference } = request;
    const isDigest = reference.includes(':');
    const subject = `${host}/${repository}${isDigest ? '@' : ':'}${reference}`;
    const attempt = (endpoint: Endpoint, until: AbortSignal) => this.#ask(endpoint, request, until);
    const filter = (each: Endpoint): boolean => (isDigest ? each.canPull : each.canResolve);
    const facts = isDigest ? { digest: reference } : { image: subject };
    return this.inRounds(request, filter, subject, facts, attempt, signal);
  }

  /** Tries the endpoints that have manifests until the deadline. */
  async inRounds<T>(
    {
      host,
      repository,
      deadlineMs,
      known = null,
    }: Pick<ManifestRequest, 'host' | 'repository' | 'deadlineMs'> & Partial<ManifestRequest>,
    filter: (endpoint: Endpoint) => boolean,
    subject: string,
    facts: { digest?: string; image?: string },
    attempt: (endpoint: Endpoint, signal: AbortSignal) => Promise<T>,
    signal: AbortSignal | null,
  ): Promise<T> {
    const { endpoints, hosts, limits, now, random, isPatient } = this.#parts;
    const startedAt = now();
    const deadline = new Deadline(deadlineMs - startedAt, signal);
    const effort = new Effort();
    const doubted = new Set<Endpoint>();
    const breakerOf = (endpoint: Endpoint) => hosts.breaker(endpoint.host, 'manifest');
    try {
      const all = await untilAborted(endpoints.of(host, repository), deadline.signal);
      const usable = all.filter((each) => each.prefix === '' && filter(each));
      const guarded = (endpoint: Endpoint): Promise<T> => {
        const work = (): Promise<T> => attempt(endpoint, deadline.signal);
        return hosts.guarded(endpoint.host, 'manifest', work);
      };
      return await inRounds({ limits, random, breakerOf }, usable, guarded, effort, {
        isFinal: (failure, endpoint) => {
          // A name that does not exist is a mistake in the reference, until an image has been opened with it.
          // Of a tag that is known, the caller has a manifest already: an image must not open later for a dead host.
          if (failure.kind === 'retry') {
            const { isUnknownName = false, isUnconnected = false } = failure.facts;
            const isLost = !isPatient && hosts.isUnheard(endpoint.host, 'manifest');
            return isUnknownName || (isUnconnected && (known !== null || isLost));
          }
          const isFirst = failure.kind === 'bad' && failure.facts.isTooLong !== true;
          if (!isFirst || doubted.has(endpoint)) return true;
          doubted.add(endpoint);
          return false;
        },
        remainingMs: () => deadlineMs - now(),
        signal: deadline.signal,
        waitsForProbes: known === null,
      });
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      const seconds = (now() - startedAt) / 1000;
      throw remoteError(error, effort, { subject, facts, seconds, host, isLate: deadline.isLate });
    } finally {
      deadline.end();
    }
  }

  async #ask(
    endpoint: Endpoint,
    { reference, accept, known }: ManifestRequest,
    signal: AbortSignal,
  ): Promise<FetchedManifest | NotModified> {
    const { limits } = this.#parts;
    const headers: Record<string, string> = {
      accept: accept.join(', '),
      'accept-encoding': 'identity',
    };
    if (known !== null) headers['if-none-match'] = `"${known}"`;
    const answer = await this.#follow(endpoint, `manifests/${reference}`, headers, signal);
    const { host, status } = answer;
    if (status === 304 && known !== null) {
      discard(answer);
      return { notModified: true };
    }
    if (status !== 200) {
      const failure = await failureOfAnswer(answer, limits, signal);
      throw failure.kind === 'gone' && !reference.includes(':')
        ? failure.with('check the names of the repository and the tag')
        : failure;
    }
    const bytes = await readWhole(answer, MAX_MANIFEST_BYTES, 'a manifest', limits, signal);
    const [algorithm = 'sha256'] = DIGEST.test(reference) ? reference.split(':') : [];
    const digest = digestOf(bytes, algorithm);
    if (reference.includes(':') && digest !== reference) {
      const facts = { host, status, expected: reference, got: digest };
      throw new Failure('bad', `sends a manifest with another digest, ${digest}`, facts);
    }
    return { bytes, mediaType: mediaTypeOf(answer), digest };
  }

  /** The answer of the endpoint, or of where it redirects to. */
  async #follow(
    endpoint: Endpoint,
    path: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Incoming> {
    const { asker } = this.#parts;
    let url = innerUrlOf(endpoint, path);
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const isSameOrigin = url.origin === originOf(endpoint);
      const request = { url, kind: 'manifest', headers } as const;
      const answer = isSameOrigin
        ? await asker.ask(endpoint, request, signal)
        : await asker.send(endpoint, request, signal);
      if (!isRedirect(answer.status)) return answer;
      discard(answer);
      url = locationOf(answer.headers['location'], url, answer.status, endpoint.plainHosts);
    }
    const what = `redirects more than ${MAX_REDIRECTS} times`;
    throw new Failure('bad', what, { host: endpoint.host });
  }
}

function digestOf(bytes: Uint8Array, algorithm: string): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

function mediaTypeOf({ headers }: Incoming): string {
  const value = headers['content-type'];
  const text = Array.isArray(value) ? (value[0] ?? '') : (value ?? '');
  return (text.split(';')[0] ?? '').trim().toLowerCase();
}
