// Connections: one pool of undici for each origin, TLS context and proxy, with a bound for each and for all.

import { Pool, ProxyAgent, type Dispatcher } from 'undici';
import { printable } from '../../lib/printable.js';
import { timedConnector, type ConnectSeams } from './connector.js';
import { Failure } from './failure.js';
import { MAX_HEADER_BYTES, type HttpLimits } from './limits.js';
import { Lru } from './lru.js';
import { Slots } from './slots.js';
import type { TlsContext } from './tls.js';

/** How an origin is reached. */
export interface Route {
  /** null: plain http. */
  readonly tls: TlsContext | null;
  /** URL; null: none. */
  readonly proxy: string | null;
}

/** Without a request, connections stay open this long; load balancers close them after a minute or more. */
const KEEP_ALIVE_MS = 30_000;
const KEEP_ALIVE_MOST_MS = 120_000;

export interface HostPool {
  readonly dispatcher: Dispatcher;
  readonly slots: Slots;
  /** Connections that were made. */
  connected: number;
}

export class Pools {
  readonly #limits: HttpLimits;
  readonly #seams: ConnectSeams;
  readonly #pools: Lru<string, HostPool>;

  constructor(limits: HttpLimits, seams: ConnectSeams) {
    this.#limits = limits;
    this.#seams = seams;
    this.#pools = new Lru(limits.pools);
  }

  /** @throws Failure refused if the URL of the proxy is wrong */
  of(origin: string, route: Route): HostPool {
    const key = JSON.stringify([origin, route.tls?.key ?? null, route.proxy]);
    const known = this.#pools.get(key);
    if (known) return known;
    const pool: HostPool = {
      dispatcher: this.#dispatcher(origin, route),
      slots: new Slots(this.#limits.connections, this.#limits.queued),
      connected: 0,
    };
    pool.dispatcher.on('connect', () => {
      pool.connected++;
    });
    // Requests that are under way in a pool that has to go are finished first.
    const old = this.#pools.set(key, pool);
    old?.dispatcher.close().catch(() => undefined);
    return pool;
  }

  #dispatcher(origin: string, { tls, proxy }: Route): Dispatcher {
    const { connections, connectMs, firstByteMs, silenceMs } = this.#limits;
    const secure = tls ? { secureContext: tls.context, rejectUnauthorized: !tls.isUnverified } : {};
    const options = {
      connections,
      pipelining: 1,
      connectTimeout: connectMs,
      headersTimeout: firstByteMs,
      bodyTimeout: silenceMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MOST_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      allowH2: false,
    };
    const timed = (tlsOptions: object) => timedConnector(this.#seams, tlsOptions, connectMs);
    if (proxy === null) return new Pool(origin, { ...options, connect: timed(secure) });
    const plain = { timeout: connectMs, lookup: this.#seams.lookup };
    try {
      return new ProxyAgent({
        ...options,
        uri: proxy,
        requestTls: { ...plain, ...secure },
        proxyTls: plain,
        // Requests of http URLs go to the proxy as they are: many allow CONNECT to port 443 only.
        proxyTunnel: origin.startsWith('https:'),
        clientFactory: (url) => new Pool(url, { ...options, connect: timed({}) }),
      });
    } catch (error) {
      const what = `cannot be asked: the proxy ${shownProxy(proxy)} is not a valid URL`;
      throw new Failure('refused', what, { host: new URL(origin).host, cause: error });
    }
  }

  /** Ends all connections at once. */
  async close(): Promise<void> {
    const all = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(all.map(({ dispatcher }) => dispatcher.destroy().catch(() => undefined)));
  }
}

/** Without its password. */
function shownProxy(proxy: string): string {
  const at = proxy.lastIndexOf('@');
  return printable(at < 0 ? proxy : `...${proxy.slice(at)}`);
}
