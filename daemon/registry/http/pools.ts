// Connections: one pool of undici for each origin, TLS context and proxy, with a bound for each and for all.

import { Pool, ProxyAgent, type buildConnector, type Dispatcher } from 'undici';
import { printable } from '../../lib/printable.js';
import { timedConnector, type ConnectSeams } from './connector.js';
import { Failure } from './failure.js';
import { MAX_HEADER_BYTES, type HttpLimits } from './limits.js';
import { Lru } from './lru.js';
import { Slots } from './slots.js';
import type { TlsContext } from './tls.js';
import { tunnelConnector } from './tunnel.js';

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

interface Way {
  readonly dispatcher: Dispatcher;
  /** Connections to the proxy, in which the dispatcher makes tunnels; null: it makes none. */
  readonly tunnels: Dispatcher | null;
}

export interface HostPool extends Way {
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
      ...this.#way(origin, route),
      slots: new Slots(this.#limits.connections, this.#limits.queued),
      connected: 0,
    };
    pool.dispatcher.on('connect', () => {
      pool.connected++;
    });
    // Requests that are under way in a pool that has to go are finished first.
    const old = this.#pools.set(key, pool);
    if (old) void endOf(old);
    return pool;
  }

  #way(origin: string, { tls, proxy }: Route): Way {
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
    const pool = (url: string | URL, connect: buildConnector.connector): Pool =>
      new Pool(url, { ...options, connect });
    if (proxy === null) return { dispatcher: pool(origin, timed(secure)), tunnels: null };
    try {
      const url = new URL(proxy);
      if (origin.startsWith('https:') && url.protocol.startsWith('http')) {
        const tunnels = pool(url.origin, timed({}));
        const inner = { ...secure, timeout: connectMs };
        const connect = tunnelConnector(this.#seams, tunnels, url, inner);
        return { dispatcher: pool(origin, connect), tunnels };
      }
      const plain = { timeout: connectMs, lookup: this.#seams.lookup };
      const dispatcher = new ProxyAgent({
        ...options,
        uri: proxy,
        requestTls: { ...plain, ...secure },
        proxyTls: plain,
        // Requests of http URLs go to the proxy as they are: many allow CONNECT to port 443 only.
        proxyTunnel: origin.startsWith('https:'),
        clientFactory: (to) => pool(to, timed({})),
      });
      return { dispatcher, tunnels: null };
    } catch (error) {
      const what = `cannot be asked: the proxy ${shownProxy(proxy)} is not a valid URL`;
      throw new Failure('refused', what, { host: new URL(origin).host, cause: error });
    }
  }

  /** Ends all connections at once. */
  async close(): Promise<void> {
    const all = [...this.#pools.values()];
    this.#pools.clear();
    const both = all.flatMap(({ dispatcher, tunnels }) => [dispatcher, tunnels ?? []].flat());
    await Promise.all(both.map((each) => each.destroy().catch(() => undefined)));
  }
}

/** The requests of a pool may need a tunnel yet. */
async function endOf({ dispatcher, tunnels }: HostPool): Promise<void> {
  await dispatcher.close().catch(() => undefined);
  await tunnels?.close().catch(() => undefined);
}

/** Without its password. */
function shownProxy(proxy: string): string {
  const at = proxy.lastIndexOf('@');
  return printable(at < 0 ? proxy : `...${proxy.slice(at)}`);
}
