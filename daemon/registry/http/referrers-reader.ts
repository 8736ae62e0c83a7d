// Reads what refers to a manifest by the referrers API. Registries that lack it answer in many ways: anything but a
// valid index means "none here", and is remembered for an hour.

import type { Asker } from './asker.js';
import { discard, readWhole } from './body.js';
import { innerUrlOf, type Endpoint } from './endpoint.js';
import { Failure } from './failure.js';
import { MAX_MANIFEST_BYTES, type HttpLimits } from './limits.js';
import { Lru } from './lru.js';
import type { ManifestReader } from './manifest-reader.js';

export interface ReferrersParts {
  readonly asker: Asker;
  readonly manifests: ManifestReader;
  readonly limits: HttpLimits;
  readonly now: () => number;
}

const INDEX = 'application/vnd.oci.image.index.v1+json';
/** Pages of one list. */
const MAX_PAGES = 32;
/** Of all pages. */
const MAX_REFERRERS = 10_000;
/** Hosts without the API that are remembered. */
const MAX_HOSTS = 1024;

export class ReferrersReader {
  readonly #parts: ReferrersParts;
  /** Until when a host is not asked. */
  readonly #without = new Lru<string, number>(MAX_HOSTS);

  constructor(parts: ReferrersParts) {
    this.#parts = parts;
  }

  async read(
    host: string,
    repository: string,
    digest: string,
    deadlineMs: number,
  ): Promise<Uint8Array | null> {
    const { manifests, limits, now } = this.#parts;
    if (now() < (this.#without.get(host) ?? -Infinity)) return null;
    try {
      const list = await manifests.inRounds(
        { host, repository, deadlineMs },
        (each) => each.kind === 'registry',
        `${host}/${repository}, referrers of ${digest}`,
        { digest },
        (endpoint, signal) => this.#ask(endpoint, digest, signal),
        null,
      );
      if (list)
        return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: list }));
      this.#without.set(host, now() + limits.referrersMs);
      return null;
    } catch {
      // No answer: another time there may be one.
      return null;
    }
  }

  /** @returns null if the registry does not have the API */
  async #ask(endpoint: Endpoint, digest: string, signal: AbortSignal): Promise<unknown[] | null> {
    const { asker, limits } = this.#parts;
    const all: unknown[] = [];
    let url = innerUrlOf(endpoint, `referrers/${digest}`);
    for (let page = 0; page < MAX_PAGES; page++) {
      const request = { url, kind: 'manifest', headers: { accept: INDEX } } as const;
      const answer = await asker.ask(endpoint, request, signal);
      const { host, status } = answer;
      if (status !== 200) {
        discard(answer);
        if (status === 429 || status >= 500) {
          throw new Failure('retry', `answers ${status}`, { host, status });
        }
        return null;
      }
      const { link } = answer.headers;
      const what = 'a list of referrers';
      const manifests = manifestsOf(
        await readWhole(answer, MAX_MANIFEST_BYTES, what, limits, signal),
      );
      if (!manifests) return null;
      all.push(...manifests.slice(0, MAX_REFERRERS - all.length));
      const next = nextPage(Array.isArray(link) ? link.join(',') : link, url);
      if (!next || next.origin !== url.origin || all.length >= MAX_REFERRERS) break;
      url = next;
    }
    return all;
  }
}

function manifestsOf(body: Buffer): unknown[] | null {
  try {
    const value = JSON.parse(body.toString()) as {
      mediaType?: unknown;
      manifests?: unknown;
    } | null;
    if (value?.mediaType !== undefined && value.mediaType !== INDEX) return null;
    return Array.isArray(value?.manifests) ? value.manifests : null;
  } catch {
    return null;
  }
}

/** `</v2/...>; rel="next"` */
function nextPage(link: string | undefined, base: URL): URL | null {
  const found = /<([^<>]{1,8192})>\s*;[^,<]*\brel="?next\b/i.exec(link ?? '');
  const text = found?.[1];
  return text !== undefined && URL.canParse(text, base.href) ? new URL(text, base) : null;
}
