// A place that serves a repository: the registry itself, a mirror, a P2P agent. Values only.

import type { TlsPaths } from './tls.js';

export interface Endpoint {
  readonly kind: 'registry' | 'mirror' | 'p2p';
  /** "mirror.example:5000": for messages, breakers and credentials. */
  readonly host: string;
  /** What takes the place of "https://HOST/v2", without a slash at its end. */
  readonly base: string;
  /** What a P2P agent wants before the URL, with a slash at its end; "" for others. */
  readonly prefix: string;
  /** Its name there, which a rule may have changed. */
  readonly repository: string;
  /** "ns=docker.io", or "". */
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsPaths;
  /** URL of its own proxy; null: as the environment says. */
  readonly proxy: string | null;
  /** Whether it may be asked what a tag names. */
  readonly canResolve: boolean;
  /** Whether it may be asked for what has a digest. */
  readonly canPull: boolean;
  /** Whose credentials it takes: the registry's, for the registry and for P2P agents. */
  readonly account: string;
  /** Whether plain http may be used if it does not speak TLS: a file says that it is insecure. */
  readonly mayBePlain: boolean;
  /** Hosts that the operator has named for plain http: a redirect, or a token service, may be there. */
  readonly plainHosts: readonly string[];
}

/** @param path "blobs/sha256:..." */
export function urlOf(endpoint: Endpoint, path: string): URL {
  return prefixed(endpoint, innerUrlOf(endpoint, path));
}

/** What a relative Location is relative to: the URL without the prefix of an agent. */
export function innerUrlOf({ base, repository, query }: Endpoint, path: string): URL {
  return new URL(`${base}/${repository}/${path}${query === '' ? '' : `?${query}`}`);
}

/** A URL as the endpoint is asked for it. */
export function prefixed({ prefix }: Endpoint, url: URL): URL {
  return prefix === '' ? url : new URL(prefix + url.href);
}

/** Of the server that is asked. */
export function originOf({ prefix, base }: Endpoint): string {
  return new URL(prefix === '' ? base : prefix).origin;
}
