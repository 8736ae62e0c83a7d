// Upstream's overlaybd.json: credentials, P2P, cache and download settings that have the same meaning here, as
// settings of ours; the others are named once. Pure.

import * as v from 'valibot';
import { parseWith } from '../config/parse.js';
import type { CredentialService, RegistrySettings } from '../config/registry-settings.js';
import { errorOf } from '../lib/fault.js';
import { printable, shortened } from '../lib/printable.js';
import { jsonObject, nonEmptyString, oneOf, wholeNumber } from '../lib/schema.js';
import { withoutEndSlashes } from '../lib/without-end-slashes.js';

/** Upstream's own default of credentialFilePath. */
const DEFAULT_CREDENTIAL_FILE = '/opt/overlaybd/cred.json';
/** Upstream's own default of p2pConfig.address. */
const DEFAULT_P2P_ADDRESS = 'http://localhost:9731/accelerator';
const DEFAULT_CREDENTIAL_TIMEOUT = 1;
const DEFAULT_MBPS = 100;
/** Upstream counts in powers of two. */
const MB = 1 << 20;
const GB = 1 << 30;
const MAX_GB = Math.floor(Number.MAX_SAFE_INTEGER / GB);
const MAX_MBPS = 1_000_000;
/** Of keys that a note lists. */
const MAX_LISTED = 40;
const MAX_KEY_LENGTH = 60;

const text = v.optional(v.string(), '');
const flag = v.optional(v.boolean(), false);
const section = <const E extends v.ObjectEntries>(entries: E) =>
  v.optional(v.pipe(jsonObject, v.object(entries)));

const schema = v.pipe(
  jsonObject,
  v.object({
    registryCacheDir: text,
    registryCacheSizeGB: v.optional(wholeNumber(0, MAX_GB)),
    cacheType: text,
    credentialFilePath: v.optional(nonEmptyString, DEFAULT_CREDENTIAL_FILE),
    credentialConfig: section({
      mode: v.optional(oneOf(['', 'file', 'http', 'https', 'uds']), ''),
      path: text,
      timeout: v.optional(wholeNumber(1, 3600), DEFAULT_CREDENTIAL_TIMEOUT),
      client_cert_path: text,
      client_key_path: text,
      server_ca_path: text,
    }),
    p2pConfig: section({
      enable: flag,
      address: v.optional(nonEmptyString, DEFAULT_P2P_ADDRESS),
    }),
    cacheConfig: section({
      cacheType: text,
      cacheDir: text,
      cacheSizeGB: v.optional(wholeNumber(0, MAX_GB)),
    }),
    download: section({ enable: flag, maxMBps: v.optional(wholeNumber(0, MAX_MBPS)) }),
    certConfig: section({ certFile: text, keyFile: text }),
  }),
);

type UpstreamConfig = v.InferOutput<typeof schema>;
type Settings = { -readonly [K in keyof RegistrySettings]?: RegistrySettings[K] };

/** Keys whose settings are taken over, and of sections the keys within. */
const HONOURED: Readonly<Record<string, readonly string[]>> = {
  registryCacheDir: [],
  registryCacheSizeGB: [],
  cacheType: [],
  credentialFilePath: [],
  credentialConfig: [
    'mode',
    'path',
    'timeout',
    'client_cert_path',
    'client_key_path',
    'server_ca_path',
  ],
  p2pConfig: ['enable', 'address'],
  cacheConfig: ['cacheType', 'cacheDir', 'cacheSizeGB'],
  download: ['enable', 'maxMBps'],
  certConfig: ['certFile', 'keyFile'],
};

export interface UpstreamSettings {
  /** Only what the file says. */
  readonly settings: Partial<RegistrySettings>;
  /** Sentences for the operator. */
  readonly notes: readonly string[];
}

/**
 * Parses an overlaybd.json.
 * @param name the file, for messages
 * @throws OverlaybdError BAD_CONFIG naming the wrong value by its path
 */
export function parseUpstreamConfig(json: string, name: string): UpstreamSettings {
  let ignored: readonly string[] = [];
  const config = parseWith(schema, json, name, (value) => {
    ignored = ignoredKeys(value);
  });
  const notes: string[] = [];
  const settings = { ...credentialsOf(config, name), ...p2pOf(config), ...certificatesOf(config) };
  Object.assign(settings, fillOf(config), cacheOf(config, name, notes));
  if (ignored.length > 0) {
    const few = ignored
      .slice(0, MAX_LISTED)
      .map((key) => printable(shortened(key, MAX_KEY_LENGTH)));
    const more = ignored.length - few.length;
    const rest = more > 0 ? ` and ${more} more` : '';
    notes.push(`${name}: these settings have no effect here: ${few.join(', ')}${rest}`);
  }
  return { settings, notes };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A section that is switched off asks for nothing. */
function ignoredKeys(value: unknown): string[] {
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, of]) => {
    if (isObject(of) && of['enable'] === false) return [];
    const honoured = Object.hasOwn(HONOURED, key) ? HONOURED[key] : undefined;
    if (!honoured) return [key];
    if (!isObject(of)) return [];
    return Object.keys(of).flatMap((each) => (honoured.includes(each) ? [] : [`${key}.${each}`]));
  });
}

function credentialsOf(
  { credentialConfig, credentialFilePath }: UpstreamConfig,
  name: string,
): Settings {
  const { mode = '', path = '' } = credentialConfig ?? {};
  if (!credentialConfig || mode === '') return { credentialFile: credentialFilePath };
  if (mode === 'file') return { credentialFile: path === '' ? credentialFilePath : path };
  if (path === '') {
    const place = { path: name, section: 'credentialConfig.path' };
    throw errorOf('BAD_CONFIG', place, `the mode ${mode} needs an address`);
  }
  const service: CredentialService = {
    mode,
    address: path,
    timeout: credentialConfig.timeout,
    certificate: credentialConfig.client_cert_path || null,
    key: credentialConfig.client_key_path || null,
    ca: credentialConfig.server_ca_path || null,
  };
  return { credentialService: service };
}

function p2pOf({ p2pConfig }: UpstreamConfig): Settings {
  if (p2pConfig?.enable !== true) return {};
  const { address } = p2pConfig;
  return { p2p: address.includes('://') ? address : `http://${address}` };
}

function certificatesOf({ certConfig }: UpstreamConfig): Settings {
  if (!certConfig?.certFile || !certConfig.keyFile) return {};
  return { certificate: certConfig.certFile, key: certConfig.keyFile };
}

/** Upstream downloads whole layers after a delay; here the cache is filled between other reads. */
function fillOf({ download }: UpstreamConfig): Settings {
  if (download?.enable !== true) return {};
  return { fillRate: (download.maxMBps || DEFAULT_MBPS) * MB };
}

function cacheOf(config: UpstreamConfig, name: string, notes: string[]): Settings {
  const { cacheConfig } = config;
  // As upstream: without a type the fields of older versions count.
  const isLegacy = !cacheConfig?.cacheType;
  const type = isLegacy ? config.cacheType : cacheConfig.cacheType;
  const folder = isLegacy ? config.registryCacheDir : cacheConfig.cacheDir;
  const size = isLegacy ? config.registryCacheSizeGB : cacheConfig.cacheSizeGB;
  if (type === 'download') return {};
  if (type !== '' && type !== 'file') {
    notes.push(
      `${name}: the cache is of type file, and not ${printable(shortened(type, MAX_KEY_LENGTH))}`,
    );
  }
  const settings: Settings = {};
  if (folder !== '') {
    settings.cacheFolder = `${withoutEndSlashes(folder)}-nbd`;
    const why = `overlaybd itself removes files of ${printable(folder)}`;
    notes.push(`${name}: the cache is in ${printable(settings.cacheFolder)}: ${why}`);
  }
  if (size) settings.cacheSize = size * GB;
  return settings;
}
