// Exports in the status: served, being opened, and failed with the reason; and their counts for the log.
import { test } from 'tap';
import { fileRef } from '../../../daemon/blob/blob-ref.js';
import { errorOf } from '../../../daemon/lib/fault.js';
import type { BlobStatus, FetchStatus } from '../../../daemon/fetch/status.js';
import { problemOf } from '../../../daemon/image/problem.js';
import type { ImageTable } from '../../../daemon/image/table.js';
import {
  cacheSummary,
  exportCounts,
  exportStatuses,
  imageCounts,
} from '../../../daemon/server/export-status.js';

const source = { blobs: [fileRef('/a'), fileRef('/b')], partition: null };
const problem = problemOf(errorOf('NOT_FOUND', { blob: '/a' }, 'no such file'), null);
const file = { kind: 'file', name: '/a', fd: -1, offset: 0, size: 4096 };
const image = { description: '2 layers', size: 4096, disk: { kind: 'raw', source: file } };
const served = { name: '/web.json', image };

/** A blob of 1000 bytes, as the fetcher reports it. */
function blobOf(digest: string, change: Partial<BlobStatus>): BlobStatus {
  return {
    blob: 1,
    digest,
    host: 'registry.example',
    repository: 'app',
    size: 1000,
    hits: 0,
    misses: 0,
    present: 0,
    isComplete: false,
    holders: 1,
    waiting: 0,
    lastError: null,
    ...change,
  };
}

function tableOf(parts: { exports?: object; failed?: object }): ImageTable {
  const { exports = {}, failed = {} } = parts;
  return {
    exports: new Map(Object.entries(exports)),
    failed: new Map(Object.entries(failed)),
  } as unknown as ImageTable;
}

await test('served exports come first, then the others with their problem', (t) => {
  const failed = {
    bad: { source, problem, isOpening: false },
    slow: { source, problem, isOpening: true },
  };
  const table = tableOf({ exports: { web: served }, failed });
  const { code, message, since, tries } = problem;
  const facts = { blob: '/a' };
  const shown = { code, message, facts, since, tries, retrySeconds: 1 };
  const missing = {
    image: '/a /b',
    description: '',
    size: 0,
    problem: shown,
    remote: null,
    added: false,
  };
  t.same(exportStatuses(table), [
    {
      name: 'web',
      state: 'served',
      image: '/web.json',
      description: '2 layers',
      size: 4096,
      problem: null,
      remote: null,
      added: false,
    },
    { name: 'bad', state: 'failed', ...missing },
    { name: 'slow', state: 'opening', ...missing },
  ]);
  t.same(imageCounts(table), { served: 1, opening: 1, failed: 1 });
  t.equal(exportCounts(table), '1 export (1 more being opened, 1 more failed)');
  t.end();
});

await test('what an export has fetched is the sum over its blobs', (t) => {
  const layers = ['sha256:a', 'sha256:b', 'sha256:a'].map((digest) => ({ kind: 'cached', digest }));
  const disk = { kind: 'lsmt', index: null, layers };
  const table = tableOf({ exports: { web: { ...served, image: { ...image, disk } } } });
  const blobs = [
    blobOf('sha256:a', { present: 1, hits: 3 }),
    blobOf('sha256:b', { present: 0.25, hits: 1, misses: 2, waiting: 1, lastError: '503' }),
    blobOf('sha256:c', { hits: 100 }),
  ];
  const remoteOf = (fetch: FetchStatus | null) => exportStatuses(table, fetch)[0]?.remote;
  t.same(remoteOf({ blobs } as unknown as FetchStatus), {
    bytes: 2000,
    cachedBytes: 1250,
    hits: 4,
    misses: 2,
    waiting: 1,
    lastError: '503',
  });
  t.equal(remoteOf(null), null, 'the fetcher does not answer');
  t.end();
});

await test('the cache, and the hosts that do not answer', (t) => {
  const cache = { folder: '/c', bytes: 5, limit: null, degraded: 'full', blobs: 1, corrupt: 2 };
  const registries = [
    { host: 'good.example', breaker: 'closed', lastError: 'an old one' },
    { host: 'dead.example', breaker: 'open', lastError: 'refused' },
    { host: 'tried.example', breaker: 'probing', lastError: null },
  ];
  t.same(cacheSummary({ cache, registries } as unknown as FetchStatus), {
    folder: '/c',
    bytes: 5,
    limit: null,
    degraded: 'full',
    unreachable: [
      { host: 'dead.example', lastError: 'refused' },
      { host: 'tried.example', lastError: null },
    ],
  });
  t.end();
});

await test('the counts name only states that occur', (t) => {
  t.equal(exportCounts(tableOf({})), '0 exports');
  t.equal(exportCounts(tableOf({ exports: { a: served, b: served } })), '2 exports');
  const failed = { bad: { source, problem, isOpening: false } };
  t.equal(exportCounts(tableOf({ failed })), '0 exports (1 more failed)');
  t.end();
});
