// The Authorization of requests to an endpoint: what its challenges asked for, from then on sent at once.

import { bestChallenge, type Challenge } from './challenge.js';
import { basicHeader, type CredentialSource } from './credential.js';
import type { Endpoint } from './endpoint.js';
import { Lru } from './lru.js';
import { scopeOf } from './token-request.js';
import type { Authorization, Tokens } from './tokens.js';
import { untilAborted } from './waiting.js';

/** Repositories whose challenge is known. */
const MAX_LOGINS = 4096;

export class Logins {
  readonly #tokens: Tokens;
  readonly #credentials: CredentialSource;
  readonly #challenges = new Lru<string, Challenge>(MAX_LOGINS);

  constructor(tokens: Tokens, credentials: CredentialSource) {
    this.#tokens = tokens;
    this.#credentials = credentials;
  }

  /**
   * What to send before being asked; null: nothing.
   * @throws Failure; the reason of the signal
   */
  async current(endpoint: Endpoint, signal: AbortSignal): Promise<Authorization | null> {
    const challenge = this.#challenges.get(keyOf(endpoint));
    if (!challenge) return null;
    if (challenge.scheme === 'basic') return this.#basic(endpoint, false, signal);
    return this.#tokens.get(endpoint, scopeOf(challenge, endpoint.repository), 0, signal);
  }

  /** What an operator can do if the login for an endpoint is missing or refused. */
  advice({ account, repository }: Endpoint): string {
    return this.#credentials.advice(account, repository);
  }

  /**
   * After 401 or 403.
   * @param used what was sent
   * @returns what to try next; null: there is nothing else
   * @throws Failure; the reason of the signal
   */
  async after(
    endpoint: Endpoint,
    challenges: readonly Challenge[],
    used: Authorization | null,
    signal: AbortSignal,
  ): Promise<Authorization | null> {
    const key = keyOf(endpoint);
    const challenge = bestChallenge(challenges) ?? this.#challenges.get(key);
    if (!challenge) return null;
    this.#challenges.set(key, challenge);
    let next: Authorization | null;
    if (challenge.scheme === 'basic') {
      next = await this.#basic(endpoint, used?.header.startsWith('Basic ') === true, signal);
    } else {
      const scope = scopeOf(challenge, endpoint.repository);
      next = await this.#tokens.get(endpoint, scope, used?.generation ?? 0, signal);
    }
    return next?.header === used?.header ? null : next;
  }

  async #basic(
    endpoint: Endpoint,
    fresh: boolean,
    signal: AbortSignal,
  ): Promise<Authorization | null> {
    const { account, repository } = endpoint;
    const asked = this.#credentials.get(account, repository, fresh, signal);
    const credential = await untilAborted(asked, signal);
    if (!credential) return null;
    switch (credential.kind) {
      case 'basic':
        return { header: basicHeader(credential.username, credential.password), generation: 0 };
      case 'identity':
      case 'bearer':
        return { header: `Bearer ${credential.token}`, generation: 0 };
    }
  }
}

function keyOf({ host, account, repository }: Endpoint): string {
  return `${account} ${host} ${repository}`;
}
