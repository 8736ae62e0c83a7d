// What the control API says about the cache and hosts: who uses a blob, what is summed up, and no secrets.
import { test } from 'tap';
import { DEFAULT_REGISTRY_SETTINGS } from '../../../daemon/config/registry-settings.js';
import type { FetchClient } from '../../../daemon/fetch/client.js';
import type { FetchStatus } from '../../../daemon/fetch/status.js';
import type { ImageTable } from '../../../daemon/image/table.js';
import { cacheState, hostList, removeFromCache } from '../../../daemon/server/cache-view.js';

const cached = (digest: string) => ({ kind: 'cached', digest });
const lsmt = (...digests: string[]) => ({
  image: { disk: { kind: 'lsmt', index: null, layers: digests.map(cached) } },
});

function tableOf(exports: Record<string, unknown>): ImageTable {
  return { exports: new Map(Object.entries(exports)) } as unknown as ImageTable;
}

function clientOf(answers: object): { client: FetchClient; asked: unknown[] } {
  const asked: unknown[] = [];
  const cache = async (command: unknown): Promise<unknown> => {
    asked.push(command);
    return ENTRIES;
  };
  return { client: { cache, ...answers } as unknown as FetchClient, asked };
}

const entry = { size: 10, bytes: 5, isComplete: false, isUsed: true, lastUsed: 1 };
const ENTRIES = [
  { digest: 'sha256:a', ...entry },
  { digest: 'sha256:b', ...entry },
];

await test('each blob has the exports that read from it', async (t) => {
  const status = { cache: { folder: '/c', bytes: 5, limit: null, degraded: null, blobs: 2 } };
  const { client } = clientOf({ status: async () => status });
  const table = tableOf({ web: lsmt('sha256:a', 'sha256:a', 'sha256:c'), db: lsmt('sha256:a') });
  t.same(await cacheState(client, table), {
    folder: '/c',
    bytes: 5,
    limit: null,
    degraded: null,
    blobs: [
      { digest: 'sha256:a', ...entry, exports: ['web', 'db'] },
      { digest: 'sha256:b', ...entry, exports: [] },
    ],
  });
  const many = Array.from({ length: 40 }, (_, i) => [`${i}`, lsmt('sha256:a')]);
  const { blobs } = await cacheState(client, tableOf(Object.fromEntries(many)));
  t.equal(blobs[0]?.exports.length, 16);
});

await test('a blob that an export reads from is not removed, and the holders are named', async (t) => {
  const { client, asked } = clientOf({});
  const table = tableOf({ 'we"b': lsmt('sha256:a') });
  const busy = { code: 'BUSY', message: 'sha256:a: exports read from it: "we\\"b"' };
  await t.rejects(removeFromCache(client, table, 'sha256:a'), busy);
  t.same(asked, []);
  const many = Array.from({ length: 18 }, (_, i) => [`e${i}`, lsmt('sha256:a')]);
  const more = { message: /"e15" and 2 more$/ };
  await t.rejects(removeFromCache(client, tableOf(Object.fromEntries(many)), 'sha256:a'), more);
  await removeFromCache(client, table, 'sha256:b');
  t.same(asked, [{ do: 'remove', digest: 'sha256:b' }]);
});

await test('hosts with all that is known of them, and mirrors without secrets', (t) => {
  const registries = [
    { host: 'a.example', kind: 'manifest', breaker: 'closed', lastError: null },
    { host: 'a.example', kind: 'blob', breaker: 'open', lastError: '503' },
    { host: '__proto__', kind: 'token', breaker: 'closed', lastError: null },
  ];
  const bytes = { demand: 1, ahead: 2, trace: 3, fill: 4 };
  const hosts = [
    ['a.example', { requests: { blob: { 206: 2 }, store: { 206: 1 } }, bytes, inFlight: 1 }],
  ];
  const network = { hosts, tokens: { granted: 2 } };
  const settings = {
    ...DEFAULT_REGISTRY_SETTINGS,
    mirrors: [
      { host: 'docker.io', url: 'https://user:secret@m.example:1/v2?sig=secret#secret' },
      { host: 'b.example', url: 'https://%' },
    ],
    p2p: 'http://secret@localhost:9731/accelerator',
  };
  const list = hostList({ registries, network } as unknown as FetchStatus, settings);
  t.same(list, {
    hosts: [
      {
        host: 'a.example',
        roles: [
          { kind: 'manifest', breaker: 'closed', lastError: null },
          { kind: 'blob', breaker: 'open', lastError: '503' },
        ],
        requests: { 206: 3 },
        bytes: 10,
        inFlight: 1,
      },
      {
        host: '__proto__',
        roles: [{ kind: 'token', breaker: 'closed', lastError: null }],
        requests: {},
        bytes: 0,
        inFlight: 0,
      },
    ],
    mirrors: [
      { host: 'docker.io', url: 'https://m.example:1/v2' },
      { host: 'b.example', url: 'not a URL' },
    ],
    p2p: 'http://localhost:9731/accelerator',
    tokens: { granted: 2 },
  });
  t.notMatch(JSON.stringify(list), 'secret');
  const none = { hosts: [], mirrors: [], p2p: null, tokens: {} };
  t.same(hostList(null, DEFAULT_REGISTRY_SETTINGS), none);
  t.end();
});
