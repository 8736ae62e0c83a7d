// One exchange of credentials for a token with a token service: what is asked and what is answered (the token
// and OAuth2 pages of distribution). Builds and parses; sends nothing.

import type { Challenge } from './challenge.js';
import { basicHeader, type Credential } from './credential.js';
import { Failure } from './failure.js';
import { mayBePlain, unnamed } from './location.js';

export interface TokenScope {
  readonly realm: string;
  readonly service: string | null;
  readonly scopes: readonly string[];
}

export interface Token {
  readonly value: string;
  /** Seconds from its arrival. */
  readonly lifetime: number;
}

const CLIENT_ID = 'overlaybd-nbd';
/** If the answer does not say. */
const DEFAULT_LIFETIME = 60;
const MAX_LIFETIME = 24 * 3600;
/** ACR takes a refresh token as the password of this user where it takes no form. */
const NO_USER = '00000000-0000-0000-0000-000000000000';

/** @param repository for the scope, if the challenge has none */
export function scopeOf(challenge: Challenge, repository: string): TokenScope {
  const scope = challenge.parameters.get('scope') ?? '';
  const scopes = scope.split(' ').filter((each) => each !== '');
  return {
    realm: challenge.parameters.get('realm') ?? '',
    service: challenge.parameters.get('service') ?? null,
    scopes: scopes.length > 0 ? scopes : [`repository:${repository}:pull`],
  };
}

/**
 * @param plainHosts that may be asked over plain http, besides the host of a registry that is
 * @throws Failure refused: a password must not go over plain http to a service that an answer named
 */
export function realmUrl(realm: string, registry: URL, plainHosts: readonly string[]): URL {
  const facts = { host: registry.host };
  let url: URL;
  try {
    url = new URL(realm);
  } catch {
    throw new Failure('refused', 'names a token service that is not a URL', facts);
  }
  const isPlain = url.protocol === 'http:' && registry.protocol === 'http:';
  if (url.protocol !== 'https:' && !isPlain) {
    throw new Failure(
      'refused',
      `names a token service without https (${url.host}), which no login is sent to`,
      facts,
    );
  }
  if (isPlain && !mayBePlain(url, registry, plainHosts)) {
    throw new Failure('refused', `names a token service at ${unnamed(url)}`, facts);
  }
  url.username = '';
  url.password = '';
  url.hash = '';
  return url;
}

export interface TokenRequest {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export function getRequest(
  realm: URL,
  scope: TokenScope,
  credential: Credential | null,
): TokenRequest {
  const url = new URL(realm);
  if (scope.service !== null) url.searchParams.set('service', scope.service);
  for (const each of scope.scopes) url.searchParams.append('scope', each);
  url.searchParams.set('client_id', CLIENT_ID);
  const headers: Record<string, string> = { accept: 'application/json' };
  if (credential?.kind === 'basic') {
    headers['authorization'] = basicHeader(credential.username, credential.password);
  } else if (credential?.kind === 'identity') {
    headers['authorization'] = basicHeader(NO_USER, credential.token);
  }
  return { method: 'GET', url, headers };
}

export function postRequest(
  url: URL,
  scope: TokenScope,
  credential: Exclude<Credential, { kind: 'bearer' }>,
): TokenRequest {
  const form = new URLSearchParams({ client_id: CLIENT_ID, scope: scope.scopes.join(' ') });
  if (scope.service !== null) form.set('service', scope.service);
  if (credential.kind === 'identity') {
    form.set('grant_type', 'refresh_token');
    form.set('refresh_token', credential.token);
  } else {
    form.set('grant_type', 'password');
    form.set('username', credential.username);
    form.set('password', credential.password);
  }
  const headers = {
    accept: 'application/json',
    'content-type': 'application/x-www-form-urlencoded',
  };
  return { method: 'POST', url, headers, body: form.toString() };
}

/** @returns null if the answer has no token: a page, or something else */
export function tokenOf(body: Buffer): Token | null {
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { token, access_token: access, expires_in: expires } = value as Record<string, unknown>;
  const text = [token, access].find((each) => typeof each === 'string' && each !== '');
  // Anything else would not be a header.
  if (typeof text !== 'string' || !/^[\x21-\x7e]+$/.test(text)) return null;
  const seconds = Number(expires);
  const lifetime = Number.isFinite(seconds) && seconds > 0 ? seconds : DEFAULT_LIFETIME;
  return { value: text, lifetime: Math.min(lifetime, MAX_LIFETIME) };
}
