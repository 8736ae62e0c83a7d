// Damaged answers of registries: the header fields that are parsed, and lists of referrers by pages.
import { Readable } from 'node:stream';
import * as fc from 'fast-check';
import type { Asker } from '../../../daemon/registry/http/asker.js';
import { explanation } from '../../../daemon/registry/http/body.js';
import { bestChallenge, parseChallenges } from '../../../daemon/registry/http/challenge.js';
import type { Endpoint } from '../../../daemon/registry/http/endpoint.js';
import { Failure, retryAfterMs } from '../../../daemon/registry/http/failure.js';
import { DEFAULT_LIMITS } from '../../../daemon/registry/http/limits.js';
import { locationOf } from '../../../daemon/registry/http/location.js';
import type { ManifestReader } from '../../../daemon/registry/http/manifest-reader.js';
import { checkRange } from '../../../daemon/registry/http/range-check.js';
import { ReferrersReader } from '../../../daemon/registry/http/referrers-reader.js';
import { getRequest, realmUrl, scopeOf } from '../../../daemon/registry/http/token-request.js';
import type { Incoming } from '../../../daemon/registry/http/wire.js';
import { parseReferrers } from '../../../daemon/registry/referrers.js';
import { descriptor, imageIndex, OCI_MANIFEST } from '../../support/memory-registry.js';
import { changedJson, jsonChanges } from './json-changes.js';
import { mustEnd } from './must-end.js';
import { changedText, textChanges } from './text-changes.js';

const HOST = 'registry.example';
const BASE = new URL(`https://${HOST}/v2/team/app/`);
const MAX_WAIT_MS = 86_400_000;

/** What is made of a field; throws for what must not come out. */
const FIELDS: Readonly<
  Record<string, { seeds: readonly string[]; use: (text: string) => unknown }>
> = {
  'www-authenticate': {
    seeds: [
      `Bearer realm="https://${HOST}/token",service="a",scope="repository:team/app:pull"`,
      'Negotiate oRo=, Basic realm="a, \\"b\\"", Digest a=b, c=d',
    ],
    use: (text) => {
      const best = bestChallenge(parseChallenges(text));
      if (best?.scheme !== 'bearer') return null;
      const scope = scopeOf(best, 'team/app');
      return getRequest(realmUrl(scope.realm, BASE, []), scope, null);
    },
  },
  'content-range': {
    seeds: ['bytes 0-99/1000', '0-9/*', 'bytes=5-5/6'],
    use: (text) => useRange({ 'content-range': text }),
  },
  'content-length': {
    seeds: ['100', '0'],
    use: (text) => useRange({ 'content-range': 'bytes 0-99/1000', 'content-length': text }),
  },
  'retry-after': {
    seeds: ['120', 'Wed, 21 Oct 2026 07:28:00 GMT'],
    use: (text) => {
      const wait = retryAfterMs(text, Date.UTC(2026, 0));
      if (wait !== null && !(wait >= 0 && wait <= MAX_WAIT_MS)) throw new Error(`waits ${wait} ms`);
    },
  },
  location: {
    seeds: [`https://store.example/blob?a=b#c`, '/v2/x', `https://u:p@${HOST}/`],
    use: (text) => {
      const { protocol, username, password } = locationOf(text, BASE, 307, []);
      if (protocol !== 'https:') throw new Error(`leads to ${protocol}`);
      if (username !== '' || password !== '') throw new Error('has a login');
    },
  },
  link: {
    seeds: ['</v2/team/app/referrers/x?page=2>; rel="next"', '<x>; a=b; rel=next, <y>; rel=prev'],
    use: (text) => referrersOf(text, JSON.stringify(LIST)),
  },
};
const LIST = imageIndex([
  descriptor(OCI_MANIFEST, 'one', { artifactType: 'a/b', annotations: { c: 'd' } }),
]);
const ERRORS = { errors: [{ code: 'DENIED', message: 'no', detail: {} }] };

export const hostileAnswer = fc.oneof(
  fc.record({
    kind: fc.constant('field' as const),
    field: fc.constantFrom(...Object.keys(FIELDS)),
    seed: fc.nat(5),
    changes: textChanges,
  }),
  fc.record({ kind: fc.constant('list of referrers' as const), changes: jsonChanges }),
  fc.record({ kind: fc.constant('explanation' as const), changes: jsonChanges }),
);
export type HostileAnswer = typeof hostileAnswer extends fc.Arbitrary<infer T> ? T : never;

function isPromised(error: unknown): boolean {
  return error instanceof Failure;
}

/** Characters of a field that undici passes on. */
const MAX_FIELD = 64 << 10;

export function answerMustBeHandled(played: HostileAnswer): Promise<string> {
  if (played.kind === 'field') {
    const { seeds, use } = FIELDS[played.field] as (typeof FIELDS)[string];
    const seed = seeds[played.seed % seeds.length] as string;
    const text = changedText(seed, played.changes).slice(0, MAX_FIELD);
    return mustEnd(() => use(text), isPromised);
  }
  if (played.kind === 'list of referrers') {
    const text = changedJson(LIST, played.changes);
    return mustEnd(
      () => referrersOf('', text),
      () => false,
    );
  }
  const text = changedJson(ERRORS, played.changes);
  const { signal } = new AbortController();
  return mustEnd(
    () => explanation(incomingOf(400, {}, text), DEFAULT_LIMITS, signal),
    () => false,
  );
}

function useRange(headers: Record<string, string>): void {
  const wanted = { first: 0, last: 99, size: 1000 };
  const range = checkRange({ host: HOST, status: 206, headers }, wanted);
  if (range.first !== 0 || range.length < 1 || range.length > 100) {
    throw new Error(`a body of ${range.length} bytes at ${range.first}`);
  }
}

function incomingOf(status: number, headers: Record<string, string>, text: string): Incoming {
  const body = Readable.from([Buffer.from(text)]);
  const counters = { seconds: { body: { add: () => undefined } } };
  const request = { headers: {}, url: BASE, body: undefined, route: {} };
  return {
    host: HOST,
    status,
    headers,
    body,
    counters,
    request,
    waitedMs: 0,
  } as unknown as Incoming;
}

/** The pages that a registry answers with, each with this field and this text. */
async function referrersOf(link: string, text: string): Promise<void> {
  let pages = 0;
  const asker = {
    ask: (_: Endpoint, { url }: { url: URL }) => {
      if (url.origin !== BASE.origin) throw new Error(`asks ${url.origin}`);
      pages++;
      return Promise.resolve(incomingOf(200, link === '' ? {} : { link }, text));
    },
  } as unknown as Asker;
  const endpoint = { host: HOST, base: BASE.origin, repository: 'team/app', query: '', prefix: '' };
  let wrong: unknown = null;
  const manifests = {
    inRounds: async (
      _request: unknown,
      _filter: unknown,
      _subject: unknown,
      _facts: unknown,
      attempt: (endpoint: Endpoint, signal: AbortSignal) => Promise<unknown>,
    ) => {
      try {
        return await attempt(endpoint as unknown as Endpoint, new AbortController().signal);
      } catch (error) {
        if (!(error instanceof Failure)) wrong = error;
        throw error;
      }
    },
  } as unknown as ManifestReader;
  const limits = DEFAULT_LIMITS;
  const reader = new ReferrersReader({ asker, manifests, limits, now: () => 0 });
  const bytes = await reader.read(HOST, 'team/app', `sha256:${'0'.repeat(64)}`, 1000);
  if (wrong !== null) throw wrong;
  if (bytes) parseReferrers(bytes, HOST);
  if (pages > 32) throw new Error(`${pages} pages`);
}
