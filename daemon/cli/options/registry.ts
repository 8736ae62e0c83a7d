// The options about registries and their cache, for every command that opens images, and how they win over the
// configuration.

import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import {
  MAX_FETCH_DEADLINE,
  isFetchDeadline,
  isMirrorUrl,
  isPlatform,
  isRegistryHost,
  registrySettings,
  type RegistriesConfig,
} from '../../config/registries-config.js';
import {
  DEFAULT_FETCH_DEADLINE,
  DEFAULT_REGISTRY_SETTINGS,
  PULL_POLICIES,
  type PullPolicy,
  type RegistrySettings,
} from '../../config/registry-settings.js';
import { withoutLogin } from '../../lib/without-login.js';
import { badArgument } from './values.js';

export interface RegistryArguments {
  'plain-http'?: string[] | undefined;
  'registry-ca'?: string | undefined;
  'registry-cert'?: string | undefined;
  'registry-key'?: string | undefined;
  'registry-config'?: string | undefined;
  'upstream-config'?: string | undefined;
  mirror?: string[] | undefined;
  p2p?: string | undefined;
  platform?: string | undefined;
  pull?: PullPolicy | undefined;
  offline?: boolean | undefined;
  'cache-dir'?: string | undefined;
  'cache-size'?: string | undefined;
  'cache-min-free'?: string | undefined;
  'fetch-deadline'?: number | undefined;
  'fill-rate'?: string | undefined;
}

const GROUP = 'Registries:';
/** Bytes. */
const MAX_UPSTREAM_SIZE = 1 << 20;

const NAMES: readonly (keyof RegistryArguments)[] = [
  'plain-http',
  'registry-ca',
  'registry-cert',
  'registry-key',
  'registry-config',
  'upstream-config',
  'mirror',
  'p2p',
  'platform',
  'pull',
  'offline',
  'cache-dir',
  'cache-size',
  'cache-min-free',
  'fetch-deadline',
  'fill-rate',
];
/** Their values are paths. */
const PATHS = new Set<string>([
  'registry-ca',
  'registry-cert',
  'registry-key',
  'registry-config',
  'upstream-config',
  'cache-dir',
]);

const OF_CACHE = new Set<string>(['upstream-config', 'cache-dir', 'cache-size', 'cache-min-free']);

export function registryOptions<T>(yargs: Argv<T>): Argv<T & RegistryArguments> {
  const text = { type: 'string', requiresArg: true, group: GROUP } as const;
  const list = { type: 'string', array: true, nargs: 1, group: GROUP } as const;
  return yargs
    .option('plain-http', {
      ...list,
      describe: 'HOST[:PORT] of a registry that is asked over http; repeatable',
    })
    .option('registry-ca', {
      ...text,
      describe: 'CA of registries, in addition to those of the system (PEM)',
    })
    .option('registry-cert', { ...text, describe: 'client certificate for registries (PEM)' })
    .option('registry-key', { ...text, describe: 'its private key (PEM)' })
    .option('registry-config', {
      ...text,
      describe: 'docker config.json with logins [default: those of docker and podman]',
    })
    .option('upstream-config', {
      ...text,
      describe:
        'overlaybd.json of the reference implementation: its credentials, P2P, cache and download',
    })
    .option('mirror', {
      ...list,
      describe: 'HOST=URL: ask this mirror before that registry; repeatable',
    })
    .option('p2p', { ...text, describe: 'URL of a P2P agent; it is put before each URL of a blob' })
    .option('platform', { ...text, describe: '[OS/]ARCH[/VARIANT] [default: this machine]' })
    .option('pull', {
      choices: PULL_POLICIES,
      group: GROUP,
      describe: 'when to ask again which image a tag names [default: newer]',
    })
    .option('offline', {
      type: 'boolean',
      group: GROUP,
      describe: 'use no network: only what the cache has',
    })
    .option('cache-dir', {
      ...text,
      describe:
        'folder of the cache [default: that of the unit, else one below the cache folder of the user]',
    })
    .option('cache-size', {
      ...text,
      describe: 'the most bytes that the cache may take, such as 20G [default: no limit]',
    })
    .option('cache-min-free', {
      ...text,
      describe: 'bytes that the cache leaves free on its disk, such as 5G [default: 1G]',
    })
    .option('fetch-deadline', {
      type: 'number',
      requiresArg: true,
      group: GROUP,
      describe: `seconds that a read waits for the network before it fails [default: ${DEFAULT_FETCH_DEADLINE}]`,
    })
    .option('fill-rate', {
      ...text,
      describe:
        'fetch the rest of open images with this many bytes a second, such as 10M [default: 0, off]',
    });
}

/** The same for a command that asks no registry: its help has those of the cache alone. */
export function cacheOptions<T>(yargs: Argv<T>): Argv<T & RegistryArguments> {
  const all = registryOptions(yargs);
  return NAMES.filter((name) => !OF_CACHE.has(name)).reduce((each, name) => each.hide(name), all);
}

/**
 * Merges command line, configuration and the reference implementation's configuration, if one is named.
 * @param tell gets what the operator should know
 * @throws OverlaybdError BAD_ARGUMENT, BAD_CONFIG
 */
export async function registriesOf(
  args: RegistryArguments,
  tell: (note: string) => void,
  config: RegistriesConfig = {},
): Promise<RegistrySettings> {
  const path = args['upstream-config'] ?? config.upstreamConfig;
  return mergedRegistries(args, config, path === undefined ? {} : await readUpstream(path, tell));
}

async function readUpstream(
  path: string,
  tell: (note: string) => void,
): Promise<Partial<RegistrySettings>> {
  const { readSmallFile } = await import('../../blob/open-file.js');
  const { parseUpstreamConfig } = await import('../../registry/upstream-config.js');
  const text = (await readSmallFile(path, MAX_UPSTREAM_SIZE)).toString('utf8');
  const { settings, notes } = parseUpstreamConfig(text, path);
  notes.forEach(tell);
  return settings;
}

/** @internal for its unit test @throws OverlaybdError BAD_ARGUMENT */
export function mergedRegistries(
  args: RegistryArguments,
  config: RegistriesConfig,
  upstream: Partial<RegistrySettings> = {},
): RegistrySettings {
  const settings = registrySettings(config, { ...DEFAULT_REGISTRY_SETTINGS, ...upstream });
  const merged: RegistrySettings = { ...settings, ...givenRegistries(args) };
  if ((merged.certificate === null) !== (merged.key === null)) {
    throw badArgument('--registry-cert and --registry-key: each needs the other');
  }
  return merged;
}

/**
 * The settings that the command line names, for a daemon that runs already: it refuses those that are not its own.
 * @param tell gets what the operator should know
 * @throws OverlaybdError BAD_ARGUMENT, BAD_CONFIG
 */
export async function wantedRegistries(
  args: RegistryArguments,
  tell: (note: string) => void,
): Promise<Partial<RegistrySettings>> {
  const path = args['upstream-config'];
  const upstream = path === undefined ? {} : await readUpstream(path, tell);
  return { ...upstream, ...givenRegistries(args) };
}

/** @throws OverlaybdError BAD_ARGUMENT */
function givenRegistries(args: RegistryArguments): Partial<RegistrySettings> {
  const given = {
    plainHttp: args['plain-http']?.map((host) => plainHost(host)),
    ca: pathOf(args['registry-ca']),
    certificate: pathOf(args['registry-cert']),
    key: pathOf(args['registry-key']),
    dockerConfig: pathOf(args['registry-config']),
    mirrors: args.mirror?.map((text) => mirrorOf(text)),
    p2p: args.p2p,
    platform: platformOf(args.platform),
    pull: args.pull,
    offline: args.offline,
    cacheFolder: pathOf(args['cache-dir']),
    cacheSize: sizeOf('--cache-size', args['cache-size'], 1),
    cacheMinFree: sizeOf('--cache-min-free', args['cache-min-free'], 0),
    fetchDeadline: deadlineOf(args['fetch-deadline']),
    fillRate: sizeOf('--fill-rate', args['fill-rate'], 0),
  };
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  return Object.fromEntries(set) as Partial<RegistrySettings>;
}

/** The options as words, for a `serve` in another working directory. */
export function registryWords(args: RegistryArguments): string[] {
  return NAMES.flatMap((name) => {
    const value = args[name];
    if (value === undefined || value === false) return [];
    if (value === true) return [`--${name}`];
    const texts = Array.isArray(value) ? value : [value];
    return texts.flatMap((each) => [`--${name}`, PATHS.has(name) ? resolve(`${each}`) : `${each}`]);
  });
}

/** The configuration with its paths relative to `folder`. */
export function resolveRegistries(config: RegistriesConfig, folder: string): RegistriesConfig {
  const names = [
    'ca',
    'certificate',
    'key',
    'dockerConfig',
    'credentialFile',
    'upstreamConfig',
  ] as const;
  const paths = names.flatMap((name) => {
    const path = config[name];
    return path === undefined ? [] : [[name, resolve(folder, path)]];
  });
  const cache = config.cache?.folder;
  return {
    ...config,
    ...(Object.fromEntries(paths) as RegistriesConfig),
    ...(cache !== undefined && { cache: { ...config.cache, folder: resolve(folder, cache) } }),
  };
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};

/** "20G", "512M", "1048576". @internal for its unit test */
export function sizeOf(
  option: string,
  text: string | undefined,
  least: number,
): number | undefined {
  if (text === undefined) return undefined;
  const [, digits, unit] = /^(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?$/i.exec(text) ?? [];
  const bytes = Math.round(Number(digits) * (UNITS[(unit ?? '').toUpperCase()] ?? NaN));
  if (Number.isSafeInteger(bytes) && bytes >= least) return bytes;
  throw badArgument(
    `${option} ${JSON.stringify(text)}: not a number of bytes, such as 512M or 20G`,
  );
}

function plainHost(host: string): string {
  if (isRegistryHost(host)) return host;
  throw badArgument(`--plain-http ${JSON.stringify(host)}: not a host, or HOST:PORT`);
}

function mirrorOf(text: string): { readonly host: string; readonly url: string } {
  const [, host = '', url = ''] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  if (isRegistryHost(host) && isMirrorUrl(url)) return { host, url };
  throw badArgument(
    `--mirror ${JSON.stringify(withoutLogin(text))}: not HOST=URL, as docker.io=https://mirror.example`,
  );
}

function platformOf(text: string | undefined): string | undefined {
  if (text === undefined || isPlatform(text)) return text;
  throw badArgument(`--platform ${JSON.stringify(text)}: not OS/ARCH or ARCH, as linux/arm64`);
}

function deadlineOf(seconds: number | undefined): number | undefined {
  if (seconds === undefined || isFetchDeadline(seconds)) return seconds;
  throw badArgument(`--fetch-deadline: not a whole number from 1 to ${MAX_FETCH_DEADLINE}`);
}

function pathOf(path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(path);
}
