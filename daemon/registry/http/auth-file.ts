// docker's config.json and containers' auth.json: which login is for a repository, and which helper knows it. Pure.

import type { Credential } from './credential.js';
import { namesOf } from './names.js';
import { withoutEndSlashes } from '../../lib/without-end-slashes.js';

export interface AuthFile {
  readonly auths: ReadonlyMap<string, unknown>;
  readonly helpers: ReadonlyMap<string, string>;
  /** The helper for all other hosts; null: none. */
  readonly store: string | null;
}

/** @throws SyntaxError or TypeError */
export function parseAuthFile(text: string): AuthFile {
  const value = JSON.parse(text) as unknown;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError('not an object');
  }
  const { auths, credHelpers, credsStore } = value as Record<string, unknown>;
  const helpers = entriesOf(credHelpers).flatMap(([key, name]) => {
    return typeof name === 'string' && name !== '' ? [[key, name] as const] : [];
  });
  return {
    auths: new Map(entriesOf(auths)),
    helpers: new Map(helpers),
    store: typeof credsStore === 'string' && credsStore !== '' ? credsStore : null,
  };
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

/** The helper to ask, and for which server: as the key is spelled. */
export interface HelperQuestion {
  readonly helper: string;
  readonly server: string;
}

export function helperFor(file: AuthFile, host: string): HelperQuestion | null {
  for (const name of namesOf(host)) {
    for (const [key, helper] of file.helpers) {
      if (normalKey(key).host === name) return { helper, server: key };
    }
  }
  if (file.store === null) return null;
  const names = namesOf(host);
  const key = [...file.auths.keys()].find((each) => names.includes(normalKey(each).host));
  const usual = names[0] === 'docker.io' ? 'https://index.docker.io/v1/' : host;
  return { helper: file.store, server: key ?? usual };
}

/** The login whose key is the most specific for a repository; null: none. */
export function loginFor(file: AuthFile, host: string, repository: string): Credential | null {
  const names = namesOf(host);
  let best: { length: number; credential: Credential } | null = null;
  for (const [key, value] of file.auths) {
    const { host: keyHost, path } = normalKey(key);
    if (!names.includes(keyHost) || !isPrefix(path, repository)) continue;
    const credential = credentialOf(value);
    if (credential && (!best || path.length > best.length))
      best = { length: path.length, credential };
  }
  return best?.credential ?? null;
}

/** Whole segments: "team" is one of "team/app", not of "teams/app". */
function isPrefix(path: string, repository: string): boolean {
  return path === '' || repository === path || repository.startsWith(`${path}/`);
}

/** Keys in the wild: `host`, `host:port`, `https://host`, `https://host/v1/`, `host/namespace/repository`. */
function normalKey(key: string): { host: string; path: string } {
  const bare = key.replace(/^https?:\/\//, '');
  const slash = bare.indexOf('/');
  if (slash < 0) return { host: bare, path: '' };
  const path = withoutEndSlashes(bare.slice(slash + 1));
  // The path of the API is not a repository.
  const isApi = bare.length !== key.length || path === 'v1' || path === 'v2';
  return { host: bare.slice(0, slash), path: isApi ? '' : path };
}

export function credentialOf(value: unknown): Credential | null {
  if (typeof value !== 'object' || value === null) return null;
  const { auth, username, password, identitytoken, registrytoken } = value as Record<
    string,
    unknown
  >;
  if (isText(registrytoken)) return { kind: 'bearer', token: registrytoken };
  if (isText(identitytoken)) return { kind: 'identity', token: identitytoken };
  if (isText(username) && typeof password === 'string')
    return { kind: 'basic', username, password };
  if (!isText(auth)) return null;
  const pair = Buffer.from(auth, 'base64').toString();
  const colon = pair.indexOf(':');
  if (colon <= 0) return null;
  // Docker pads with zero bytes.
  const decoded = pair.slice(colon + 1).replace(/\0+$/, '');
  return { kind: 'basic', username: pair.slice(0, colon), password: decoded };
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
