// Tokens of registries: one exchange at a time for a realm, service and scope, used until 80 % of their lifetime
// by a clock that never goes back. What the answer says about the time of its issue is another clock's.

import { failureOfAnswer } from './answer.js';
import { readWhole } from './body.js';
import type { Counters } from './counters.js';
import { isSameCredential, type Credential, type CredentialSource } from './credential.js';
import type { Endpoint } from './endpoint.js';
import { Failure } from './failure.js';
import type { Hosts } from './hosts.js';
import { MAX_TOKEN_ANSWER_BYTES, type HttpLimits } from './limits.js';
import { Lru } from './lru.js';
import {
  getRequest,
  postRequest,
  realmUrl,
  tokenOf,
  type Token,
  type TokenRequest,
  type TokenScope,
} from './token-request.js';
import { Deadline, untilAborted } from './waiting.js';
import type { Incoming } from './wire.js';

/** What goes into the Authorization of a request. A later one has a higher generation. */
export interface Authorization {
  readonly header: string;
  readonly generation: number;
}

export interface TokenSeams {
  readonly send: (
    request: TokenRequest,
    endpoint: Endpoint,
    signal: AbortSignal,
  ) => Promise<Incoming>;
  readonly credentials: CredentialSource;
  readonly hosts: Hosts;
  readonly limits: HttpLimits;
  readonly counters: Counters;
  readonly now: () => number;
  readonly log: (line: string) => void;
}

interface Entry {
  authorization: Authorization | null;
  usableUntil: number;
  flight: Promise<Authorization> | null;
  /** A refused login, and until when it is not tried again. */
  refusal: Failure | null;
  refusedUntil: number;
}

/** Scopes with a token. */
const MAX_ENTRIES = 4096;
const USED_PART = 0.8;

export class Tokens {
  readonly #seams: TokenSeams;
  readonly #entries = new Lru<string, Entry>(MAX_ENTRIES);
  #generation = 0;

  constructor(seams: TokenSeams) {
    this.#seams = seams;
  }

  /**
   * @param newerThan a generation that was refused; 0 if any will do
   * @throws Failure; the reason of the signal
   */
  async get(
    endpoint: Endpoint,
    scope: TokenScope,
    newerThan: number,
    signal: AbortSignal,
  ): Promise<Authorization> {
    const entry = this.#entry(endpoint, scope);
    const { now } = this.#seams;
    const { authorization } = entry;
    if (authorization && authorization.generation > newerThan && now() < entry.usableUntil) {
      return authorization;
    }
    if (entry.refusal && now() < entry.refusedUntil) throw entry.refusal;
    entry.flight ??= this.#fly(entry, endpoint, scope);
    return untilAborted(entry.flight, signal);
  }

  #entry(endpoint: Endpoint, scope: TokenScope): Entry {
    const key = JSON.stringify([endpoint.account, scope]);
    let entry = this.#entries.get(key);
    if (!entry) {
      const nothing = { authorization: null, flight: null, refusal: null };
      entry = { ...nothing, usableUntil: -Infinity, refusedUntil: -Infinity };
      this.#entries.set(key, entry);
    }
    return entry;
  }

  /** The signal of its first caller does not end it: others may have joined. */
  async #fly(entry: Entry, endpoint: Endpoint, scope: TokenScope): Promise<Authorization> {
    const { limits, now } = this.#seams;
    const deadline = new Deadline(limits.exchangeMs);
    try {
      const askedAt = now();
      const exchange = this.#exchange(endpoint, scope, deadline.signal);
      const token = await untilAborted(exchange, deadline.signal);
      const header = `Bearer ${token.value}`;
      entry.authorization = { header, generation: ++this.#generation };
      entry.usableUntil = askedAt + token.lifetime * 1000 * USED_PART;
      entry.refusal = null;
      return entry.authorization;
    } catch (error) {
      if (deadline.isLate) {
        const host = new URL(scope.realm).host;
        throw new Failure('retry', 'gives no token in time', { host, cause: error });
      }
      if (error instanceof Failure && error.kind === 'auth') {
        entry.refusal = error;
        entry.refusedUntil = now() + limits.refusedMs;
      }
      throw error;
    } finally {
      entry.flight = null;
      deadline.end();
    }
  }

  async #exchange(endpoint: Endpoint, scope: TokenScope, signal: AbortSignal): Promise<Token> {
    const { credentials, log } = this.#seams;
    const realm = realmUrl(scope.realm, new URL(endpoint.base), endpoint.plainHosts);
    const { account, repository } = endpoint;
    const login = (credential: Credential | null): Promise<Token | Failure> => {
      return this.#login(endpoint, realm, scope, credential, signal);
    };
    const credential = await credentials.get(account, repository, false, signal);
    let result = await login(credential);
    if (!(result instanceof Failure)) return result;
    const advised = (failure: Failure): Failure =>
      failure.with(credentials.advice(account, repository));
    if (credential === null) throw advised(result);
    const other = await credentials.get(account, repository, true, signal);
    if (!isSameCredential(other, credential) && other !== null) result = await login(other);
    if (!(result instanceof Failure)) return result;
    // Images that need no login must not fail because of an old one.
    const anonymous = await login(null);
    if (anonymous instanceof Failure) throw advised(result);
    log(`${realm.host} refuses the login for ${account}; going on without a login`);
    return anonymous;
  }

  /** @returns Failure auth if the login was refused. @throws any other Failure */
  async #login(
    endpoint: Endpoint,
    realm: URL,
    scope: TokenScope,
    credential: Credential | null,
    signal: AbortSignal,
  ): Promise<Token | Failure> {
    const { counters, hosts } = this.#seams;
    const count = (result: string): void => {
      counters.tokens[result] = (counters.tokens[result] ?? 0) + 1;
    };
    if (credential?.kind === 'bearer') return { value: credential.token, lifetime: 60 };
    try {
      for (const request of waysOf(realm, scope, credential)) {
        const token = await hosts.guarded(realm.host, 'token', () => {
          return this.#ask(request, endpoint, signal);
        });
        if (token === null) continue;
        count(credential === null ? 'anonymous' : 'granted');
        return token;
      }
    } catch (error) {
      count('failed');
      throw error;
    }
    count('refused');
    const whose = credential === null ? 'gives no token without a login' : 'refuses the login';
    const what = `${whose} for ${endpoint.account}/${endpoint.repository}`;
    return new Failure('auth', what, { host: realm.host, status: 401 });
  }

  /** @returns null if it was refused in this way: another may do */
  async #ask(
    request: TokenRequest,
    endpoint: Endpoint,
    signal: AbortSignal,
  ): Promise<Token | null> {
    const { limits, send } = this.#seams;
    const incoming = await send(request, endpoint, signal);
    const { host, status } = incoming;
    if (status === 200) {
      const body = await readWhole(incoming, MAX_TOKEN_ANSWER_BYTES, 'the token', limits, signal);
      // The page of a server that does not have this way.
      return tokenOf(body);
    }
    const failure = await failureOfAnswer(incoming, limits, signal);
    if (failure.kind === 'retry') throw failure;
    if (status >= 300 && status < 400) {
      throw new Failure('bad', `answers ${status} instead of a token`, { host, status });
    }
    return null;
  }
}

/** GET is right for a password and POST for an identity token; some services have only the other one. */
function waysOf(realm: URL, scope: TokenScope, credential: Credential | null): TokenRequest[] {
  const get = getRequest(realm, scope, credential);
  if (credential === null || credential.kind === 'bearer') return [get];
  const post = postRequest(realm, scope, credential);
  return credential.kind === 'basic' ? [get, post] : [post, get];
}
