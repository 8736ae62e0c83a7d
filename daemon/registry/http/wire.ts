// One request and the header of its answer: a place in the pool, time limits, counters. Knows no registry.

import type { Dispatcher } from 'undici';
import { withoutLogin } from '../../lib/without-login.js';
import { countRequest, type Counters, type HostCounters, type HostKind } from './counters.js';
import { Failure, failureOf } from './failure.js';
import type { HttpLimits } from './limits.js';
import type { Pools, Route } from './pools.js';
import { Deadline, untilAborted } from './waiting.js';

export interface Outgoing {
  readonly url: URL;
  /** What is asked for, for the counters. */
  readonly kind: HostKind;
  readonly route: Route;
  readonly method?: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export type Body = Dispatcher.ResponseData['body'];

export interface Incoming {
  /** "registry.example:5000" */
  readonly host: string;
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  /** Must be read to its end or destroyed: until then it holds a connection. */
  readonly body: Body;
  readonly counters: HostCounters;
  readonly request: Outgoing;
  /** Milliseconds from the request to its header. */
  readonly waitedMs: number;
}

export class Wire {
  readonly #pools: Pools;
  readonly #limits: HttpLimits;
  readonly #counters: Counters;
  readonly #now: () => number;

  constructor(pools: Pools, limits: HttpLimits, counters: Counters, now: () => number) {
    this.#pools = pools;
    this.#limits = limits;
    this.#counters = counters;
    this.#now = now;
  }

  /**
   * Sends a request. If it fails on a connection that may have been dead already, sends it once more at once.
   * @throws Failure retry or refused; the reason of the signal
   */
  async send(outgoing: Outgoing, signal: AbortSignal): Promise<Incoming> {
    try {
      return await this.#sendOnce(outgoing, signal);
    } catch (error) {
      const isStale = error instanceof Failure && error.facts.wasStale === true;
      if (!isStale || outgoing.method === 'POST') throw error;
      return this.#sendOnce(outgoing, signal);
    }
  }

  async #sendOnce(outgoing: Outgoing, signal: AbortSignal): Promise<Incoming> {
    const { url, kind, route, method = 'GET', headers, body } = outgoing;
    const host = url.host;
    const pool = this.#pools.of(url.origin, route);
    const release = await this.#place(pool.slots.take(signal), host);
    const counters = this.#counters.of(host);
    counters.inFlight++;
    const end = (): void => {
      counters.inFlight--;
      release();
    };
    const { connectMs, firstByteMs } = this.#limits;
    // undici has these limits, too, but it forgets some ways to wait: for a proxy, or for a name server.
    const deadline = new Deadline(connectMs + firstByteMs, signal);
    const connectedBefore = pool.connected;
    const startedAt = this.#now();
    const sent = pool.dispatcher.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method,
      headers: { 'user-agent': USER_AGENT, ...headers },
      body: body ?? null,
      signal: deadline.signal,
    });
    try {
      const answer = await untilAborted(sent, deadline.signal);
      const waitedMs = this.#now() - startedAt;
      counters.seconds.first_byte.add(waitedMs / 1000);
      countRequest(counters, kind, String(answer.statusCode));
      answer.body.on('error', () => undefined);
      answer.body.once('close', end);
      const { statusCode: status, headers: received } = answer;
      return {
        host,
        status,
        headers: received,
        body: answer.body,
        counters,
        request: outgoing,
        waitedMs,
      };
    } catch (error) {
      // An answer that comes after all must not keep its connection.
      sent.then(
        (late) => late.body.on('error', () => undefined).destroy(),
        () => undefined,
      );
      end();
      if (signal.aborted) throw signal.reason;
      const failure = deadline.isLate
        ? new Failure('retry', 'does not answer in time', { host, counter: 'timeout' })
        : failureOf(
            error,
            host,
            pool.connected === connectedBefore || hasServed(error),
            route.proxy === null ? null : withoutLogin(route.proxy),
          );
      countRequest(counters, kind, failure.facts.counter ?? 'other');
      throw failure;
    } finally {
      deadline.end();
    }
  }

  async #place(turn: Promise<() => void>, host: string): Promise<() => void> {
    try {
      return await turn;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const what = `has ${this.#limits.queued} requests waiting already`;
      throw new Failure('retry', what, { host, cause: error });
    }
  }
}

const USER_AGENT = 'overlaybd-nbd';

/** Whether bytes had come over the connection before: undici says so for some errors. */
function hasServed(error: unknown): boolean {
  const { socket } = error as { socket?: { bytesRead?: number } };
  return (socket?.bytesRead ?? 0) > 0;
}
