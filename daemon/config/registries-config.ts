// The key "registries" of daemon.json, with its defaults. Pure.

import * as v from 'valibot';
import { ARCHITECTURE } from '../lib/architectures.js';
import {
  nonEmptyString,
  oneOf,
  someOf,
  strictObject,
  stringOf,
  wholeNumber,
} from '../lib/schema.js';
import {
  DEFAULT_REGISTRY_SETTINGS,
  PULL_POLICIES,
  type RegistrySettings,
} from './registry-settings.js';

/** Seconds. The kernel's client must wait longer than a read does; no client waits for an hour. */
export const MAX_FETCH_DEADLINE = 3600;

const hostSchema = stringOf(
  'a host, or HOST:PORT',
  /^[\w.-]+(?::\d{1,5})?$|^\[[\da-f:.]+\](?::\d{1,5})?$/i,
);
const urlSchema = stringOf('a URL of http or https', /^https?:\/\/[^\s/]+/);
const platformSchema = stringOf(
  'a platform as OS/ARCH, OS/ARCH/VARIANT or ARCH',
  new RegExp(`^[\\w.-]+/[\\w.-]+(?:/[\\w.-]+)?$|${ARCHITECTURE.source}`, 'i'),
);
const deadlineSchema = wholeNumber(1, MAX_FETCH_DEADLINE);

export const registriesSchema = strictObject({
  plainHttp: v.optional(someOf(hostSchema)),
  ca: v.optional(nonEmptyString),
  certificate: v.optional(nonEmptyString),
  key: v.optional(nonEmptyString),
  dockerConfig: v.optional(nonEmptyString),
  credentialFile: v.optional(nonEmptyString),
  upstreamConfig: v.optional(nonEmptyString),
  mirrors: v.optional(someOf(strictObject({ host: hostSchema, url: urlSchema }))),
  p2p: v.optional(nonEmptyString),
  platform: v.optional(platformSchema),
  pull: v.optional(oneOf(PULL_POLICIES)),
  offline: v.optional(v.boolean()),
  fetchDeadline: v.optional(deadlineSchema),
  fillRate: v.optional(wholeNumber(0)),
  cache: v.optional(
    strictObject({
      folder: v.optional(nonEmptyString),
      size: v.optional(wholeNumber(1)),
      minFree: v.optional(wholeNumber(0)),
    }),
  ),
});

export type RegistriesConfig = v.InferOutput<typeof registriesSchema>;

/** Whether the key of that name takes the text: for options of the command line. */
export function isRegistryHost(text: string): boolean {
  return v.is(hostSchema, text);
}

export function isMirrorUrl(text: string): boolean {
  return v.is(urlSchema, text);
}

export function isPlatform(text: string): boolean {
  return v.is(platformSchema, text);
}

export function isFetchDeadline(value: number): boolean {
  return v.is(deadlineSchema, value);
}

/** @param base of what the configuration does not say */
export function registrySettings(
  { cache, ...config }: RegistriesConfig,
  base: RegistrySettings = DEFAULT_REGISTRY_SETTINGS,
): RegistrySettings {
  const set = Object.entries(config).filter(
    ([key, value]) => key !== 'upstreamConfig' && value !== undefined,
  );
  return {
    ...base,
    ...(Object.fromEntries(set) as Partial<RegistrySettings>),
    ...(cache?.folder !== undefined && { cacheFolder: cache.folder }),
    ...(cache?.size !== undefined && { cacheSize: cache.size }),
    ...(cache?.minFree !== undefined && { cacheMinFree: cache.minFree }),
  };
}
