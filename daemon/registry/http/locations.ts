// Where blobs were redirected to: kept for each blob and endpoint until it fails. Signed URLs expire; when one does,
// one request renews it for all that wait.

import type { Endpoint } from './endpoint.js';
import { Lru } from './lru.js';
import { untilAborted } from './waiting.js';

/** URLs of up to 8 KiB. */
const MAX_LOCATIONS = 4096;

interface Entry {
  url: URL | null;
  /** Requests that wait for the renewal that is under way; null if there is none. */
  waiting: Set<() => void> | null;
}

export class Locations {
  readonly #entries = new Lru<string, Entry>(MAX_LOCATIONS);

  get(endpoint: Endpoint, digest: string): URL | null {
    return this.#entries.get(keyOf(endpoint, digest))?.url ?? null;
  }

  set(endpoint: Endpoint, digest: string, url: URL): void {
    const key = keyOf(endpoint, digest);
    const known = this.#entries.get(key);
    if (!known) {
      this.#entries.set(key, { url, waiting: null });
      return;
    }
    known.url = url;
    tell(known);
  }

  /** Forgets `url`, unless another one has taken its place. */
  drop(endpoint: Endpoint, digest: string, url: URL): void {
    const known = this.#entries.get(keyOf(endpoint, digest));
    if (known?.url === url) known.url = null;
  }

  /** The same, after a renewal that is under way. */
  async current(endpoint: Endpoint, digest: string, signal: AbortSignal): Promise<URL | null> {
    const known = this.#entries.get(keyOf(endpoint, digest));
    if (known?.url === null && known.waiting) {
      const { waiting } = known;
      await untilAborted(new Promise<void>((resolve) => waiting.add(resolve)), signal);
    }
    return this.get(endpoint, digest);
  }

  /**
   * After `failed` did not work any more: waits for a renewal that is under way, or makes one.
   * @param renew asks the endpoint and calls {@link set}
   */
  async renewed(
    endpoint: Endpoint,
    digest: string,
    failed: URL,
    renew: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    this.drop(endpoint, digest, failed);
    const known = this.#entries.get(keyOf(endpoint, digest));
    if (!known || known.url) return;
    if (known.waiting) {
      const { waiting } = known;
      await untilAborted(new Promise<void>((resolve) => waiting.add(resolve)), signal);
      return;
    }
    known.waiting = new Set();
    try {
      await renew();
    } finally {
      tell(known);
      known.waiting = null;
    }
  }
}

/** Requests that waited look again: after a failed renewal, each asks by itself. */
function tell(entry: Entry): void {
  const waiting = [...(entry.waiting ?? [])];
  entry.waiting?.clear();
  for (const each of waiting) each();
}

function keyOf({ prefix, base, repository }: Endpoint, digest: string): string {
  return `${prefix}${base} ${repository} ${digest}`;
}
