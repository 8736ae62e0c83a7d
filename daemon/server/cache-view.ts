// What the control API says about the cache and the hosts that were asked.

import type { CacheBlob, CacheState, HostList, HostState } from '../control/api.js';
import type { RegistrySettings } from '../config/registry-settings.js';
import { OverlaybdError } from '../errors.js';
import type { FetchClient } from '../fetch/client.js';
import type { FetchStatus } from '../fetch/status.js';
import { digestsOf } from '../image/disks/spec.js';
import type { ImageTable } from '../image/table.js';

/** Exports that are named for one blob. */
const MOST_NAMED = 16;

/** @throws OverlaybdError IO */
export async function cacheState(client: FetchClient, images: ImageTable): Promise<CacheState> {
  const [entries, { cache }] = await Promise.all([client.cache({ do: 'list' }), client.status()]);
  const { folder, bytes, limit, degraded } = cache;
  const users = usersOf(images);
  const blobs = entries.map((entry): CacheBlob => {
    return { ...entry, exports: (users.get(entry.digest) ?? []).slice(0, MOST_NAMED) };
  });
  return { folder, bytes, limit, degraded, blobs };
}

/** @throws OverlaybdError BUSY if it is in use, NOT_FOUND, BAD_ARGUMENT, IO */
export async function removeFromCache(
  client: FetchClient,
  images: ImageTable,
  digest: string,
): Promise<void> {
  const users = usersOf(images).get(digest) ?? [];
  if (users.length > 0) {
    const named = users.slice(0, MOST_NAMED).map((name) => JSON.stringify(name));
    const more = users.length > named.length ? ` and ${users.length - named.length} more` : '';
    throw new OverlaybdError('BUSY', `${digest}: exports read from it: ${named.join(', ')}${more}`);
  }
  await client.cache({ do: 'remove', digest });
}

/** @param fetch null: nothing was asked yet */
export function hostList(fetch: FetchStatus | null, settings: RegistrySettings): HostList {
  const hosts = new Map<string, HostState>();
  const of = (host: string): HostState =>
    hosts.get(host) ?? { host, roles: [], requests: {}, bytes: 0, inFlight: 0 };
  for (const { host, kind, breaker, lastError } of fetch?.registries ?? []) {
    const state = of(host);
    hosts.set(host, { ...state, roles: [...state.roles, { kind, breaker, lastError }] });
  }
  for (const [host, { requests, bytes, inFlight }] of fetch?.network.hosts ?? []) {
    const sum = Object.values(bytes).reduce((total, each) => total + each, 0);
    hosts.set(host, { ...of(host), requests: byStatus(requests), bytes: sum, inFlight });
  }
  return {
    hosts: [...hosts.values()],
    mirrors: settings.mirrors.map(({ host, url }) => ({ host, url: withoutSecrets(url) })),
    p2p: settings.p2p === null ? null : withoutSecrets(settings.p2p),
    tokens: fetch?.network.tokens ?? {},
  };
}

/** Requests of all kinds. */
function byStatus(
  byKind: Readonly<Record<string, Readonly<Record<string, number>>>>,
): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const each of Object.values(byKind)) {
    for (const [status, count] of Object.entries(each)) sums[status] = (sums[status] ?? 0) + count;
  }
  return sums;
}

/** Names of exports by the digests of their blobs. */
function usersOf({ exports }: ImageTable): ReadonlyMap<string, readonly string[]> {
  const users = new Map<string, string[]>();
  for (const [name, { image }] of exports) {
    for (const digest of new Set(digestsOf(image.disk))) {
      const names = users.get(digest);
      if (names) names.push(name);
      else users.set(digest, [name]);
    }
  }
  return users;
}

/** A URL without its login and query. */
function withoutSecrets(text: string): string {
  if (!URL.canParse(text)) return 'not a URL';
  const { protocol, host, pathname } = new URL(text);
  return `${protocol}//${host}${pathname}`;
}
