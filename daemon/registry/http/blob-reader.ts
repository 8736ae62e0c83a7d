// Reads a range of a blob until it is there or its deadline has come: over endpoints, retries and breakers.

import type { BlobRequests } from './blob-request.js';
import type { Counters } from './counters.js';
import type { Endpoint } from './endpoint.js';
import type { Endpoints } from './endpoints.js';
import { Failure } from './failure.js';
import type { Hosts } from './hosts.js';
import { PROGRESS_BYTES, type HttpLimits } from './limits.js';
import { Lru } from './lru.js';
import { NoRanges } from './range-check.js';
import type { RangeRequest, TakeBytes } from './range-request.js';
import { remoteError } from './remote-error.js';
import { Effort, inRounds } from './rounds.js';
import { Deadline, untilAborted } from './waiting.js';

export interface ReaderParts {
  readonly requests: BlobRequests;
  readonly endpoints: Endpoints;
  readonly hosts: Hosts;
  readonly limits: HttpLimits;
  readonly counters: Counters;
  readonly now: () => number;
  readonly random: () => number;
  readonly log: (line: string) => void;
  /** Whether a host that has never taken a connection is tried until the deadline. */
  readonly isPatient: boolean;
}

/** Blobs that are missing somewhere, and repositories without ranges, that are remembered. */
const MAX_REFUSALS = 4096;

interface Refusal {
  readonly failure: Failure;
  readonly until: number;
}

/** How far a range has come. */
class Progress {
  /** The first byte that is not there yet. */
  next: number;
  readonly #effort: Effort;
  #sinceProgress = 0;

  constructor(first: number, effort: Effort) {
    this.next = first;
    this.#effort = effort;
  }

  add(offset: number, length: number): void {
    this.next = offset + length;
    this.#sinceProgress += length;
    if (this.#sinceProgress < PROGRESS_BYTES) return;
    this.#sinceProgress = 0;
    this.#effort.progressed();
  }
}

export class BlobReader {
  readonly #parts: ReaderParts;
  /** Messages that the log has already. */
  readonly #logged = new Lru<string, true>(MAX_REFUSALS);
  readonly #refusals = new Lru<string, Refusal>(MAX_REFUSALS);

  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  /**
   * @returns the host of the registry or mirror that was asked; null if it was more than one
   * @throws OverlaybdError REMOTE, AUTH, NOT_FOUND; the reason of the signal
   */
  async read(request: RangeRequest, take: TakeBytes, signal: AbortSignal): Promise<string | null> {
    const { endpoints, limits, now, random, hosts, requests, counters, isPatient } = this.#parts;
    const { ref, first, last, deadlineMs, class: why, sized } = request;
    const { host, repository, digest, size } = ref;
    const startedAt = now();
    const deadline = new Deadline(deadlineMs - startedAt, signal);
    const effort = new Effort();
    const doubted = new Map<Endpoint, Failure>();
    const asked = new Set<string>();
    const progress = new Progress(first, effort);
    const attempt = async (endpoint: Endpoint): Promise<Endpoint> => {
      this.#checkRefusals(endpoint, digest);
      asked.add(endpoint.host);
      const bytesOf = counters.of(endpoint.host).bytes;
      const taken: TakeBytes = (offset, bytes) => {
        take(offset, bytes);
        bytesOf[why] += bytes.length;
        progress.add(offset, bytes.length);
      };
      // An answer may be shorter than what was asked for.
      while (progress.next <= last) {
        const from = progress.next;
        const wanted = { first: from, last, size, ...(sized && { sized }) };
        await requests.read({ endpoint, digest, wanted, take: taken, signal: deadline.signal });
        if (progress.next === from) throw new Failure('bad', 'sends nothing', endpoint);
      }
      return endpoint;
    };
    const isFinal = (failure: Failure, endpoint: Endpoint): boolean => {
      if (failure.kind === 'retry') {
        const next = requests.firstHost(endpoint, digest);
        const isUnconnected = failure.facts.isUnconnected === true;
        return isUnconnected && !isPatient && hosts.isUnheard(next.host, next.kind);
      }
      // One node of several may be broken, or lack a blob that was pushed just now; another node may answer next.
      const mayPass = failure.kind === 'gone' || failure.kind === 'bad';
      if (mayPass && !doubted.has(endpoint) && !this.#isRefused(endpoint, digest)) {
        doubted.set(endpoint, failure);
        return false;
      }
      this.#remember(endpoint, digest, failure);
      return true;
    };
    try {
      const all = await untilAborted(endpoints.of(host, repository), deadline.signal);
      const usable = all.filter((each) => {
        return request.fromOrigin ? each.kind === 'registry' : each.canPull;
      });
      const breakerOf = (endpoint: Endpoint) => {
        const next = requests.firstHost(endpoint, digest);
        return hosts.breaker(next.host, next.kind);
      };
      const remainingMs = (): number => deadlineMs - now();
      const options = { isFinal, remainingMs, signal: deadline.signal };
      const from = await inRounds({ limits, random, breakerOf }, usable, attempt, effort, options);
      // A mirror that ignores ranges, or does not have the blob, is not asked before the host that answered, for a while.
      for (const [endpoint, failure] of doubted) {
        if (endpoint !== from) this.#remember(endpoint, digest, failure);
      }
      return asked.size === 1 ? from.host : null;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw remoteError(error, effort, {
        subject: `${host}/${repository}@${digest}, bytes ${progress.next}-${last}`,
        facts: { digest, range: `${progress.next}-${last}` },
        seconds: (now() - startedAt) / 1000,
        host,
        isLate: deadline.isLate,
      });
    } finally {
      deadline.end();
    }
  }

  /** Whether an earlier answer keeps this reader from asking the endpoint. */
  #isRefused(endpoint: Endpoint, digest: string): boolean {
    return refusalKeys(endpoint, digest).some((key) => this.#refusals.get(key) !== undefined);
  }

  #checkRefusals(endpoint: Endpoint, digest: string): void {
    for (const key of refusalKeys(endpoint, digest)) {
      const refusal = this.#refusals.get(key);
      if (!refusal) continue;
      if (this.#parts.now() < refusal.until) throw refusal.failure;
      this.#refusals.delete(key);
    }
  }

  #remember(endpoint: Endpoint, digest: string, failure: Failure): void {
    const { limits, now, log } = this.#parts;
    const remember = (key: string, milliseconds: number): void => {
      if (this.#refusals.get(key)) return;
      this.#refusals.set(key, { failure, until: now() + milliseconds });
    };
    if (failure.kind === 'gone') remember(keyOf(endpoint, digest), limits.goneMs);
    if (!(failure instanceof NoRanges)) return;
    if (!this.#logged.get(keyOf(endpoint, 'ranges'))) log(failure.message);
    this.#logged.set(keyOf(endpoint, 'ranges'), true);
    remember(keyOf(endpoint, 'ranges'), limits.noRangesMs);
  }
}

function refusalKeys(endpoint: Endpoint, digest: string): string[] {
  return [keyOf(endpoint, digest), keyOf(endpoint, 'ranges')];
}

function keyOf({ prefix, base, repository }: Endpoint, what: string): string {
  return `${prefix}${base} ${repository} ${what}`;
}
