// Asks one endpoint for one thing: with its login, which is renewed once. Redirects and errors are the caller's.

import { messageOf } from '../../errors.js';
import { failureOfAnswer } from './answer.js';
import { parseChallenges } from './challenge.js';
import { originOf, type Endpoint } from './endpoint.js';
import { Failure } from './failure.js';
import type { HttpLimits } from './limits.js';
import type { Logins } from './login.js';
import { proxyFor, type ProxySettings } from './proxy.js';
import type { TlsContexts, TlsPaths } from './tls.js';
import { untilAborted } from './waiting.js';
import type { Incoming, Outgoing, Wire } from './wire.js';

/** A login, a token that another request has renewed meanwhile, and one more to be safe. */
const MAX_LOGINS = 3;

export interface AskerParts {
  readonly wire: Wire;
  readonly logins: Logins;
  readonly tls: TlsContexts;
  readonly limits: HttpLimits;
  readonly proxies: ProxySettings;
  /** A host does not speak TLS, and a file allows plain http. */
  readonly onPlain: (host: string) => void;
}

export class Asker {
  readonly #parts: AskerParts;

  constructor(parts: AskerParts) {
    this.#parts = parts;
  }

  /**
   * @param request for a URL of that endpoint
   * @returns any answer but 401 and 403
   * @throws Failure auth if the login is refused, too; the reason of the signal
   */
  async ask(
    endpoint: Endpoint,
    { headers, ...request }: Omit<Outgoing, 'route'>,
    signal: AbortSignal,
  ): Promise<Incoming> {
    const { logins, limits } = this.#parts;
    let authorization = await logins.current(endpoint, signal);
    for (let count = 1; ; count++) {
      const login = authorization ? { authorization: authorization.header } : {};
      const all = { ...endpoint.headers, ...headers, ...login };
      const incoming = await this.send(endpoint, { ...request, headers: all }, signal);
      // ECR answers 403 when a login has expired.
      if (incoming.status !== 401 && incoming.status !== 403) return incoming;
      const challenges = parseChallenges(incoming.headers['www-authenticate']);
      const failure = await failureOfAnswer(incoming, limits, signal);
      const next =
        count < MAX_LOGINS ? await logins.after(endpoint, challenges, authorization, signal) : null;
      if (!next) throw failure.with(logins.advice(endpoint));
      authorization = next;
    }
  }

  /** Sends a request over the connections of an endpoint: to it, its token service, or where it redirects to. */
  async send(
    endpoint: Endpoint,
    request: Omit<Outgoing, 'route'>,
    signal: AbortSignal,
  ): Promise<Incoming> {
    const { wire, tls, proxies } = this.#parts;
    const { url } = request;
    const isOwn = url.origin === originOf(endpoint);
    const proxy = isOwn && endpoint.proxy !== null ? endpoint.proxy : proxyFor(url, proxies);
    const paths = tlsPathsFor(endpoint, isOwn);
    let context = null;
    try {
      if (url.protocol === 'https:') context = await untilAborted(tls.of(paths), signal);
    } catch (error) {
      signal.throwIfAborted();
      const what = `cannot be asked: ${messageOf(error)}`;
      throw new Failure('refused', what, { host: url.host, cause: error });
    }
    try {
      return await wire.send({ ...request, route: { tls: context, proxy } }, signal);
    } catch (error) {
      const isTls = error instanceof Failure && error.facts.counter === 'tls';
      if (isTls && isOwn && endpoint.mayBePlain) this.#parts.onPlain(endpoint.host);
      throw error;
    }
  }
}

/** A certificate of ours is for the registry alone, and only there may verification be off; a CA may be the store's. */
function tlsPathsFor({ tls }: Endpoint, isOwn: boolean): TlsPaths {
  return isOwn ? tls : { ...tls, client: [], isUnverified: false };
}
