// How the daemon talks to registries and keeps what it has fetched: plain values, from the command line and
// daemon.json, posted to the fetcher. Types and defaults only.

/** When a tag is asked for again. "newer": at each opening, and what is known is used if no answer comes. */
export const PULL_POLICIES = ['newer', 'missing', 'never', 'always'] as const;
export type PullPolicy = (typeof PULL_POLICIES)[number];

export const DEFAULT_FETCH_DEADLINE = 20;

/** A service that knows credentials: upstream's credentialConfig in all modes but "file". */
export interface CredentialService {
  readonly mode: 'http' | 'https' | 'uds';
  /** A URL; the path of the socket for "uds". */
  readonly address: string;
  /** Seconds. */
  readonly timeout: number;
  /** Paths of PEM files, for "https". */
  readonly certificate: string | null;
  readonly key: string | null;
  readonly ca: string | null;
}

export interface RegistrySettings {
  /** Hosts, with their ports, that are asked over http and not https. */
  readonly plainHttp: readonly string[];
  /** Paths of PEM files; null: what the system trusts, and no client certificate. */
  readonly ca: string | null;
  readonly certificate: string | null;
  readonly key: string | null;
  /** Path of a docker config.json; null: the places of docker and podman. */
  readonly dockerConfig: string | null;
  /** Path of upstream's cred.json; null: none. */
  readonly credentialFile: string | null;
  readonly credentialService: CredentialService | null;
  /** In the order in which they are asked; `url` takes the place of https://HOST. */
  readonly mirrors: readonly { readonly host: string; readonly url: string }[];
  /** Prefix of the URLs of a P2P agent; null: none. */
  readonly p2p: string | null;
  /** "linux/arm64/v8"; null: that of this machine. */
  readonly platform: string | null;
  readonly pull: PullPolicy;
  /** Whether no network is used at all. */
  readonly offline: boolean;
  /** Folder; null: the default of the user or the unit. */
  readonly cacheFolder: string | null;
  /** Bytes; null: no limit of its own. */
  readonly cacheSize: number | null;
  /** Bytes that stay free on the disk of the cache. */
  readonly cacheMinFree: number;
  /** Seconds that a read waits for the network. */
  readonly fetchDeadline: number;
  /** Bytes a second of background fill of all images; 0: no fill. */
  readonly fillRate: number;
}

export const DEFAULT_REGISTRY_SETTINGS: RegistrySettings = {
  plainHttp: [],
  ca: null,
  certificate: null,
  key: null,
  dockerConfig: null,
  credentialFile: null,
  credentialService: null,
  mirrors: [],
  p2p: null,
  platform: null,
  pull: 'newer',
  offline: false,
  cacheFolder: null,
  cacheSize: null,
  cacheMinFree: 1 << 30,
  fetchDeadline: DEFAULT_FETCH_DEADLINE,
  fillRate: 0,
};

/** Where daemon.json has each setting. The credential service is one of the reference implementation's configuration. */
export const REGISTRY_KEYS: Readonly<Record<keyof RegistrySettings, string>> = {
  plainHttp: 'registries.plainHttp',
  ca: 'registries.ca',
  certificate: 'registries.certificate',
  key: 'registries.key',
  dockerConfig: 'registries.dockerConfig',
  credentialFile: 'registries.credentialFile',
  credentialService: 'registries.upstreamConfig',
  mirrors: 'registries.mirrors',
  p2p: 'registries.p2p',
  platform: 'registries.platform',
  pull: 'registries.pull',
  offline: 'registries.offline',
  cacheFolder: 'registries.cache.folder',
  cacheSize: 'registries.cache.size',
  cacheMinFree: 'registries.cache.minFree',
  fetchDeadline: 'registries.fetchDeadline',
  fillRate: 'registries.fillRate',
};
