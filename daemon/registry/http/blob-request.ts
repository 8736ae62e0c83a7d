// One try to read a range of a blob from one endpoint: over its redirect, if it has one.

import { failureOfAnswer } from './answer.js';
import type { Asker } from './asker.js';
import { discard, readExactly } from './body.js';
import { innerUrlOf, originOf, prefixed, urlOf, type Endpoint } from './endpoint.js';
import { Failure } from './failure.js';
import type { Hosts } from './hosts.js';
import { MAX_REDIRECTS, type HttpLimits } from './limits.js';
import { isRedirect, locationOf } from './location.js';
import type { Locations } from './locations.js';
import { checkRange, type WantedRange } from './range-check.js';
import type { TakeBytes } from './range-request.js';
import { SlowTails } from './slow-tails.js';
import type { Incoming } from './wire.js';

/** A range of a blob that one endpoint is asked for. */
export interface BlobTry {
  readonly endpoint: Endpoint;
  readonly digest: string;
  readonly wanted: WantedRange;
  readonly take: TakeBytes;
  readonly signal: AbortSignal;
}

export interface BlobParts {
  readonly asker: Asker;
  readonly hosts: Hosts;
  readonly locations: Locations;
  readonly limits: HttpLimits;
  readonly log: (line: string) => void;
}

/** Answers of a store to a URL whose time is over, or whose object is elsewhere. */
const RENEWED_STATUSES: ReadonlySet<number | undefined> = new Set([400, 401, 403, 404, 410]);

export class BlobRequests {
  readonly #parts: BlobParts;
  readonly #slowTails = new SlowTails();

  constructor(parts: BlobParts) {
    this.#parts = parts;
  }

  /** The host that a request would go to first. */
  firstHost(endpoint: Endpoint, digest: string): { host: string; kind: 'blob' | 'store' } {
    const location = this.#parts.locations.get(endpoint, digest);
    return location && endpoint.prefix === ''
      ? { host: location.host, kind: 'store' }
      : { host: endpoint.host, kind: 'blob' };
  }

  /**
   * Gives the bytes from `wanted.first` on to `take`, some or all of them: an answer may be shorter.
   * @throws Failure; the reason of the signal
   */
  async read(one: BlobTry): Promise<void> {
    try {
      await this.#read(one);
    } catch (error) {
      const isUnanswered = error instanceof Failure && error.facts.isUnanswered === true;
      if (isUnanswered) this.#noteWait(error.host, one.wanted, this.#parts.limits.firstByteMs);
      throw error;
    }
  }

  async #read(one: BlobTry): Promise<void> {
    const { endpoint, digest, signal } = one;
    const { locations } = this.#parts;
    const known = await locations.current(endpoint, digest, signal);
    if (!known) return this.#ask(one);
    try {
      return await this.#follow(one, known);
    } catch (error) {
      if (!(error instanceof Failure && isOver(error))) throw error;
    }
    let isServed = false;
    const renew = async (): Promise<void> => {
      isServed = true;
      await this.#ask(one);
    };
    await locations.renewed(endpoint, digest, known, renew, signal);
    if (isServed) return;
    const fresh = locations.get(endpoint, digest);
    return fresh ? this.#follow(one, fresh) : this.#ask(one);
  }

  /** Asks the endpoint, and follows where it redirects to. */
  async #ask(one: BlobTry): Promise<void> {
    const { endpoint, digest, wanted, signal } = one;
    const { asker, hosts, locations } = this.#parts;
    const path = `blobs/${digest}`;
    const location = await hosts.guarded(endpoint.host, 'blob', async () => {
      const url = urlOf(endpoint, path);
      const request = { url, kind: 'blob', headers: rangeHeaders(wanted) } as const;
      const answer = await asker.ask(endpoint, request, signal);
      if (isRedirect(answer.status)) return redirect(answer, innerUrlOf(endpoint, path), endpoint);
      await this.#readBody(answer, one);
      return null;
    });
    if (!location) return;
    locations.set(endpoint, digest, location);
    await this.#follow(one, location);
  }

  async #follow(one: BlobTry, location: URL): Promise<void> {
    try {
      await this.#hop(one, location);
    } catch (error) {
      // Another redirect may lead to a node that works.
      const isUseless =
        error instanceof Failure && (error.facts.isUnconnected === true || error.kind === 'bad');
      if (isUseless) this.#parts.locations.drop(one.endpoint, one.digest, location);
      const isStore = error instanceof Failure && error.host !== one.endpoint.host;
      if (isStore && error.kind === 'auth') {
        throw error.with(
          `${one.endpoint.host} redirects to it, and it refuses the URL: compare their clocks`,
        );
      }
      throw error;
    }
  }

  async #hop(one: BlobTry, location: URL): Promise<void> {
    const { endpoint, wanted, signal } = one;
    const { asker, hosts } = this.#parts;
    let url = location;
    for (let hops = 1; hops <= MAX_REDIRECTS; hops++) {
      // A P2P agent takes the URL of the store, as it takes that of the registry.
      const isAgent = endpoint.prefix !== '';
      const { host, kind } = isAgent
        ? ({ host: endpoint.host, kind: 'blob' } as const)
        : ({ host: url.host, kind: 'store' } as const);
      const next = await hosts.guarded(host, kind, async () => {
        const headers = rangeHeaders(wanted);
        // A store refuses a request with two logins, and must not see ours.
        const isSameOrigin = !isAgent && url.origin === originOf(endpoint);
        const answer = isSameOrigin
          ? await asker.ask(endpoint, { url, kind, headers }, signal)
          : await asker.send(endpoint, { url: prefixed(endpoint, url), kind, headers }, signal);
        if (isRedirect(answer.status)) return redirect(answer, url, endpoint);
        await this.#readBody(answer, one);
        return null;
      });
      if (!next) return;
      url = next;
    }
    const what = `redirects more than ${MAX_REDIRECTS} times`;
    throw new Failure('bad', what, { host: location.host });
  }

  #noteWait(host: string, { first }: WantedRange, waitedMs: number): void {
    const line = this.#slowTails.note(host, first, waitedMs);
    if (line !== null) this.#parts.log(line);
  }

  async #readBody(answer: Incoming, { wanted, take, signal }: BlobTry): Promise<void> {
    const { limits } = this.#parts;
    if (answer.status !== 200 && answer.status !== 206) {
      throw await failureOfAnswer(answer, limits, signal);
    }
    this.#noteWait(answer.host, wanted, answer.waitedMs);
    let body;
    try {
      body = checkRange(answer, wanted);
    } catch (error) {
      discard(answer);
      throw error;
    }
    let offset = body.first;
    const takeWanted = (bytes: Uint8Array): void => {
      const skipped = Math.max(0, wanted.first - offset);
      const end = Math.max(0, wanted.last + 1 - offset);
      const wantedBytes = bytes.subarray(skipped, end);
      const at = offset + skipped;
      offset += bytes.length;
      if (wantedBytes.length > 0) take(at, wantedBytes);
    };
    await readExactly(answer, body.length, limits, takeWanted, signal);
  }
}

function isOver(failure: Failure): boolean {
  return failure.facts.isUnconnected === true || RENEWED_STATUSES.has(failure.status);
}

function rangeHeaders({ first, last }: WantedRange): Record<string, string> {
  return { range: `bytes=${first}-${last}`, 'accept-encoding': 'identity' };
}

function redirect(answer: Incoming, base: URL, { plainHosts }: Endpoint): URL {
  discard(answer);
  return locationOf(answer.headers['location'], base, answer.status, plainHosts);
}
