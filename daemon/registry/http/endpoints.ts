// Which endpoints serve a repository, in the order in which they are asked: the P2P agent, mirrors, and the registry
// itself last. Mirrors of the command line come first, then those of hosts.toml or, without one, of registries.conf.

import { readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { RegistrySettings } from '../../config/registry-settings.js';
import { CERTS_FOLDERS, CertsFolders } from './certs-folder.js';
import type { Endpoint } from './endpoint.js';
import { Failure } from './failure.js';
import type { HostEntry } from './hosts-toml.js';
import { Lru } from './lru.js';
import { apiHost, canonicalName, namesOf } from './names.js';
import {
  parseRegistriesConf,
  ruleFor,
  type RegistryPlace,
  type RegistryRule,
} from './registries-conf.js';
import { NO_TLS_PATHS, type TlsPaths } from './tls.js';
import { WatchedFiles, type WatchSeams } from './watched-file.js';
import { withoutEndSlashes } from '../../lib/without-end-slashes.js';

export interface EndpointFiles {
  /** The folders that have one for each registry; those of this system if left out. */
  readonly certsFolders?: readonly string[];
  /** registries.conf; that of this system if left out. */
  readonly registriesConf?: string;
}

export interface EndpointSeams extends EndpointFiles, WatchSeams {
  readonly env: NodeJS.ProcessEnv;
}

/** Repositories whose endpoints are remembered for a moment. */
const MAX_REPOSITORIES = 1024;
/** Files of registries.conf.d. */
const MAX_FILES = 256;

export class Endpoints {
  #settings: RegistrySettings;
  readonly #seams: EndpointSeams;
  readonly #folders: CertsFolders;
  readonly #rules: WatchedFiles<RegistryRule[]>;
  readonly #recent = new Lru<string, { at: number; endpoints: Endpoint[] }>(MAX_REPOSITORIES);
  /** Hosts that may be asked over plain http, and that do not speak TLS. */
  readonly #plainHosts = new Lru<string, true>(MAX_REPOSITORIES);

  constructor(settings: RegistrySettings, seams: EndpointSeams) {
    this.#settings = settings;
    this.#seams = seams;
    this.#folders = new CertsFolders(seams.certsFolders ?? CERTS_FOLDERS, seams);
    this.#rules = new WatchedFiles(parseRegistriesConf, seams);
  }

  update(settings: RegistrySettings): void {
    this.#settings = settings;
    this.#recent.clear();
  }

  /** A host that a file calls insecure does not speak TLS: asks it over plain http from now on. */
  plain(host: string): void {
    this.#plainHosts.set(host, true);
    this.#recent.clear();
  }

  /**
   * @returns at least one: those of the kind "registry" come last
   * @throws Failure refused if registries.conf blocks it
   */
  async of(host: string, repository: string): Promise<readonly Endpoint[]> {
    const { now, filesMs } = this.#seams;
    const key = `${host}/${repository}`;
    const known = this.#recent.get(key);
    if (known && now() - known.at < filesMs) return known.endpoints;
    const endpoints = await this.#look(host, repository);
    this.#recent.set(key, { at: now(), endpoints });
    return endpoints;
  }

  async #look(host: string, repository: string): Promise<Endpoint[]> {
    const names = namesOf(host);
    const { hosts, tls } = await this.#folders.of(names);
    const named = this.#settings.mirrors
      .filter((each) => names.includes(each.host))
      .map(({ url }) => this.#mirror(new URL(url), host, repository));
    if (hosts) {
      const mirrors = hosts.mirrors.map((each) => this.#byFile(each, 'mirror', host, repository));
      const origin = this.#byFile(hosts.server, 'registry', host, repository);
      return [...this.#agents(origin), ...named, ...mirrors, origin];
    }
    const { mirrors, origins } = await this.#byRule(host, repository, tls);
    return [...origins.flatMap((each) => this.#agents(each)), ...named, ...mirrors, ...origins];
  }

  /** What registries.conf says, or the registry as it is. */
  async #byRule(
    host: string,
    repository: string,
    tls: TlsPaths,
  ): Promise<{ mirrors: Endpoint[]; origins: Endpoint[] }> {
    const rules = (
      await Promise.all((await this.#ruleFiles()).map((path) => this.#rules.get(path)))
    ).flatMap((each) => each ?? []);
    const found = ruleFor(rules, `${canonicalName(host)}/${repository}`);
    if (!found) return { mirrors: [], origins: [this.#registry(host, repository, tls)] };
    const { rule, rest } = found;
    if (rule.isBlocked) {
      throw new Failure('refused', `is blocked by registries.conf (${rule.prefix})`, { host });
    }
    const mirrors = rule.mirrors.flatMap((each): Endpoint[] => {
      const { forDigests: canPull, forTags: canResolve } = each;
      return this.#places(each, rest, tls).map((place) => {
        return { ...place, kind: 'mirror', canPull, canResolve };
      });
    });
    const origins =
      rule.location === '' || (rule.location === rule.prefix && !rule.isInsecure)
        ? [this.#registry(host, repository, tls)]
        : this.#places(rule, rest, tls);
    return { mirrors, origins };
  }

  /** In their order: a later file counts more. */
  async #ruleFiles(): Promise<string[]> {
    const { env, registriesConf } = this.#seams;
    const system =
      registriesConf ?? (env['CONTAINERS_REGISTRIES_CONF'] || '/etc/containers/registries.conf');
    const config = env['XDG_CONFIG_HOME'] || join(env['HOME'] || homedir(), '.config');
    const folder = `${system}.d`;
    const names = await readdir(folder).catch(() => []);
    const parts = names
      .filter((name) => name.endsWith('.conf'))
      .toSorted()
      .slice(0, MAX_FILES);
    return [
      system,
      ...parts.map((name) => join(folder, name)),
      join(config, 'containers/registries.conf'),
    ];
  }

  /** One, or two if it may be asked over plain http as well: with TLS first. */
  #places({ location, isInsecure }: RegistryPlace, rest: string, tls: TlsPaths): Endpoint[] {
    const [name = '', ...path] = `${location}${rest}`.split('/');
    const host = apiHost(name);
    const endpoint = this.#registry(host, path.join('/'), tls);
    if (!isInsecure || endpoint.base.startsWith('http:')) return [endpoint];
    const plain = { ...endpoint, base: `http://${host}/v2` };
    if (this.#plainHosts.get(host)) return [plain];
    const unverified = { ...endpoint.tls, isUnverified: true };
    return [{ ...endpoint, tls: unverified, mayBePlain: true }, plain];
  }

  #registry(host: string, repository: string, tls: TlsPaths): Endpoint {
    const isPlain = namesOf(host).some((name) => this.#settings.plainHttp.includes(name));
    return {
      kind: 'registry',
      host,
      base: `${isPlain ? 'http' : 'https'}://${host}/v2`,
      prefix: '',
      repository,
      query: '',
      headers: {},
      tls: this.#tls(tls),
      proxy: null,
      canResolve: true,
      canPull: true,
      account: host,
      mayBePlain: false,
      plainHosts: this.#settings.plainHttp,
    };
  }

  /** As containerd asks it: with "/v2" added, and with the registry of the repository in "ns=". */
  #mirror(url: URL, host: string, repository: string): Endpoint {
    const path = withoutEndSlashes(url.pathname);
    return {
      ...this.#registry(url.host, repository, NO_TLS_PATHS),
      kind: 'mirror',
      base: `${url.origin}${path.endsWith('/v2') ? path : `${path}/v2`}`,
      query: url.host === host ? '' : `ns=${encodeURIComponent(canonicalName(host))}`,
    };
  }

  #byFile(entry: HostEntry, kind: Endpoint['kind'], host: string, repository: string): Endpoint {
    const { url, headers, proxy, canPull, canResolve, ca, client, skipVerify } = entry;
    const place = url
      ? this.#mirror(url, host, repository)
      : this.#registry(host, repository, NO_TLS_PATHS);
    const path = withoutEndSlashes(url?.pathname ?? '');
    return {
      ...place,
      kind,
      ...(url && entry.overridePath ? { base: `${url.origin}${path}` } : {}),
      headers,
      proxy,
      // If no mirror has an answer, the registry itself is asked, also if the file does not allow it.
      canPull: canPull || kind === 'registry',
      canResolve: canResolve || kind === 'registry',
      tls: this.#tls({ ca, client, isUnverified: skipVerify }),
    };
  }

  /** Before the registry, and never for tags. */
  #agents(origin: Endpoint): Endpoint[] {
    const { p2p } = this.#settings;
    if (p2p === null) return [];
    const address = p2p.includes('://') ? p2p : `http://${p2p}`;
    const prefix = `${withoutEndSlashes(address)}/`;
    const { host } = new URL(prefix);
    return [{ ...origin, kind: 'p2p', host, prefix, canResolve: false }];
  }

  /** With the files of the command line. */
  #tls(paths: TlsPaths): TlsPaths {
    const { ca, certificate, key } = this.#settings;
    if (ca === null && certificate === null) return paths;
    const own = certificate === null ? [] : [{ certificate, key: key ?? certificate }];
    return {
      ca: [...paths.ca, ...(ca === null ? [] : [ca])],
      client: paths.client.length > 0 ? paths.client : own,
      isUnverified: paths.isUnverified,
    };
  }
}
