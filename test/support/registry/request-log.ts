// What clients asked the fault front for, and what can be counted from it: round trips, bytes sent twice,
// requests at once, and what a client must not do.
import type { OriginName } from './origin.js';
import type { RequestKind } from './rules.js';

/** How an answer ended, as the server saw it. */
export type Ending = 'open' | 'whole' | 'cut' | 'reset' | 'client left';

export interface LoggedRequest {
  /** Counted from 1. */
  readonly number: number;
  /** Counted from 1. */
  readonly connection: number;
  readonly origin: OriginName;
  readonly kind: RequestKind;
  readonly method: string;
  /** Without its query, which may have a signature. */
  readonly path: string;
  /** A digest or a tag. */
  readonly reference: string | null;
  /** The header Range, as it came. */
  readonly range: string | null;
  /** The scheme of the header Authorization; null: there is none. */
  readonly authorization: string | null;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Milliseconds of performance.now(). */
  readonly begin: number;
  end: number;
  /** 0 until there is an answer. */
  status: number;
  /** First byte of the blob that the body has. */
  first: number;
  /** Bytes of the body that were handed to the socket. */
  bytes: number;
  ended: Ending;
  /** What was done to it by a rule. */
  action: string | null;
}

export interface LogFilter {
  readonly kind?: RequestKind;
  readonly status?: number;
  readonly reference?: string;
  readonly origin?: OriginName;
}

export class RequestLog {
  readonly requests: LoggedRequest[] = [];
  readonly #lookers = new Set<() => void>();

  add(request: LoggedRequest): void {
    this.requests.push(request);
    this.changed();
  }

  /** What a request says has changed. */
  changed(): void {
    for (const look of this.#lookers) look();
  }

  /** Resolves with the first request that is so, now or later. No time limit: that is the test's. */
  waitFor(isWanted: (request: LoggedRequest) => boolean): Promise<LoggedRequest> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = this.requests.find(isWanted);
        if (!found) return;
        this.#lookers.delete(look);
        resolve(found);
      };
      this.#lookers.add(look);
      look();
    });
  }

  clear(): void {
    this.requests.length = 0;
  }

  filter(filter: LogFilter): LoggedRequest[] {
    return this.requests.filter((request) =>
      Object.entries(filter).every(([key, value]) => request[key as keyof LogFilter] === value),
    );
  }

  /** Answers that have not ended yet. */
  get open(): number {
    return this.requests.filter(({ ended }) => ended === 'open').length;
  }

  /**
   * Round trips that one after the other needed: the most requests each of which began after the one before it had
   * ended. The exchange of a token is left out, with the requests that were refused for want of one. The front needs a
   * latency, else requests that are sent together do not overlap.
   */
  longestChain(without: readonly RequestKind[] = ['token', 'ping']): LoggedRequest[] {
    const counted = this.requests.filter(
      ({ kind, status }) => status !== 401 && !without.includes(kind),
    );
    const chain: LoggedRequest[] = [];
    let free = -Infinity;
    for (const request of counted.toSorted((a, b) => a.end - b.end)) {
      if (request.begin < free) continue;
      chain.push(request);
      free = request.end;
    }
    return chain;
  }

  /** Bytes of blobs that were sent. */
  dataBytes(): number {
    return this.#data().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Bytes of blobs that were sent more than once, each sending after the first one counted. */
  duplicateBytes(): number {
    const byBlob = new Map<string, LoggedRequest[]>();
    for (const request of this.#data()) {
      const blob = request.reference ?? '';
      byBlob.set(blob, [...(byBlob.get(blob) ?? []), request]);
    }
    let different = 0;
    for (const requests of byBlob.values()) {
      let end = 0;
      for (const { first, bytes } of requests.toSorted((a, b) => a.first - b.first)) {
        different += Math.max(0, first + bytes - Math.max(first, end));
        end = Math.max(end, first + bytes);
      }
    }
    return this.dataBytes() - different;
  }

  /** The most requests that were open at the same time. */
  mostAtOnce(filter: LogFilter = {}): number {
    const events = this.filter(filter).flatMap(({ begin, end }) => [
      { at: begin, change: 1 },
      { at: end, change: -1 },
    ]);
    let now = 0;
    let most = 0;
    for (const { change } of events.toSorted((a, b) => a.at - b.at || a.change - b.change)) {
      now += change;
      most = Math.max(most, now);
    }
    return most;
  }

  connections(): number {
    return new Set(this.requests.map(({ connection }) => connection)).size;
  }

  /** A line for each thing that a client of registries must not do. */
  violations(): string[] {
    return this.requests.flatMap((request) =>
      CHECKS.filter(([broken]) => broken(request)).map(
        ([, what]) => `request ${request.number}: ${request.method} ${request.path}: ${what}`,
      ),
    );
  }

  #data(): LoggedRequest[] {
    return this.requests.filter(
      ({ kind, status }) =>
        (kind === 'blob' || kind === 'store') && (status === 200 || status === 206),
    );
  }
}

type Check = readonly [broken: (request: LoggedRequest) => boolean, what: string];

const isBlob = ({ kind }: LoggedRequest): boolean => kind === 'blob' || kind === 'store';

const CHECKS: readonly Check[] = [
  [(r) => r.origin === 'store' && r.authorization !== null, 'Authorization for the store'],
  [(r) => isBlob(r) && r.method === 'HEAD', 'HEAD of a blob'],
  [(r) => isBlob(r) && r.range === null, 'a whole blob'],
  [(r) => r.range?.includes(',') === true, 'several ranges in a request'],
  [(r) => r.headers['if-range'] !== undefined, 'If-Range'],
  [
    (r) => isBlob(r) && r.headers['accept-encoding'] !== 'identity',
    'Accept-Encoding that is not identity',
  ],
  [(r) => r.status === 416, 'a range that the blob does not have'],
  [(r) => r.headers['user-agent'] === undefined, 'no User-Agent'],
];
