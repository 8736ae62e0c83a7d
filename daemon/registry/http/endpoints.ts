// Which endpoints serve a repository, in the order in which they are asked: the P2P agent, mirrors, and the registry
// itself last.

import type { RegistrySettings } from '../../config/registry-settings.js';
import type { Endpoint } from './endpoint.js';
import { canonicalName, namesOf } from './names.js';
import { NO_TLS_PATHS, type TlsPaths } from './tls.js';

export class Endpoints {
  #settings: RegistrySettings;

  constructor(settings: RegistrySettings) {
    this.#settings = settings;
  }

  update(settings: RegistrySettings): void {
    this.#settings = settings;
  }

  /** @returns at least one: the last is the origin */
  async of(host: string, repository: string): Promise<Endpoint[]> {
    await Promise.resolve();
    const origin = this.#origin(host, repository);
    return [...this.#agents(origin), ...this.#mirrors(host, repository), origin];
  }

  #origin(host: string, repository: string): Endpoint {
    const isPlain = namesOf(host).some((name) => this.#settings.plainHttp.includes(name));
    return {
      kind: 'registry',
      host,
      base: `${isPlain ? 'http' : 'https'}://${host}/v2`,
      prefix: '',
      repository,
      query: '',
      headers: {},
      tls: this.#tls(),
      proxy: null,
      canResolve: true,
      canPull: true,
      account: host,
    };
  }

  #mirrors(host: string, repository: string): Endpoint[] {
    const names = namesOf(host);
    return this.#settings.mirrors
      .filter((each) => names.includes(each.host))
      .map(({ url }) => mirror(url, host, repository, this.#tls()));
  }

  /** One for each endpoint that it stands before: the registry alone. */
  #agents(origin: Endpoint): Endpoint[] {
    const { p2p } = this.#settings;
    if (p2p === null) return [];
    const address = p2p.includes('://') ? p2p : `http://${p2p}`;
    const prefix = `${address.replace(/\/+$/, '')}/`;
    const { host } = new URL(prefix);
    return [{ ...origin, kind: 'p2p', host, prefix, canResolve: false }];
  }

  #tls(): TlsPaths {
    const { ca, certificate, key } = this.#settings;
    if (ca === null && certificate === null) return NO_TLS_PATHS;
    const client = certificate === null ? [] : [{ certificate, key: key ?? certificate }];
    return { ca: ca === null ? [] : [ca], client, isUnverified: false };
  }
}

/** A mirror as containerd asks it: "/v2" is added, and it is told whose repository it is. */
function mirror(url: string, host: string, repository: string, tls: TlsPaths): Endpoint {
  const { origin, pathname, host: mirrorHost } = new URL(url);
  const path = pathname.replace(/\/+$/, '');
  return {
    kind: 'mirror',
    host: mirrorHost,
    base: `${origin}${path.endsWith('/v2') ? path : `${path}/v2`}`,
    prefix: '',
    repository,
    query: mirrorHost === host ? '' : `ns=${encodeURIComponent(canonicalName(host))}`,
    headers: {},
    tls,
    proxy: null,
    canResolve: true,
    canPull: true,
    account: mirrorHost,
  };
}
