// All metrics of a daemon: the lines that follow from a status, and that docs/metrics.md has every one of them.
import { readFileSync } from 'node:fs';
import { test } from 'tap';
import type { DaemonStatus } from '../../../daemon/control/api.js';
import type { FetchStatus } from '../../../daemon/fetch/status.js';
import { metricsText, type Measured } from '../../../daemon/metrics/collect.js';
import type { PostedTotals } from '../../../daemon/fetch/fetch-totals.js';
import { Histogram } from '../../../daemon/lib/histogram.js';
import { DecodeCounts, type PostedDecoding } from '../../../daemon/pieces/decode-counts.js';
import type { PostedWaits } from '../../../daemon/reactor/export-waits.js';
import { Counters } from '../../../daemon/registry/http/counters.js';

const NONE = { demand: 0, ahead: 0, trace: 0, fill: 0 };

const status = {
  version: '1.2.3',
  clients: 4,
  images: { served: 1, opening: 0, failed: 1 },
  exports: [
    { name: 'a', state: 'served' },
    { name: 'b', state: 'failed' },
  ],
  devices: [
    { state: 'connected', reconnects: 2 },
    { state: 'waiting', reconnects: 1 },
  ],
  stuckFiles: [{}],
} as unknown as DaemonStatus;

function blob(digest: string, waiting: number): FetchStatus['blobs'][number] {
  return {
    blob: 1,
    digest,
    host: 'registry.example',
    repository: 'r',
    size: 10,
    hits: 5,
    misses: 2,
    present: 0.25,
    isComplete: false,
    holders: 1,
    waiting,
    lastError: null,
  };
}

function totals(): PostedTotals {
  const none = { used: 0, unused: 0 };
  const seconds = new Histogram();
  seconds.add(0.3);
  return {
    wrong: 4,
    bytes: { ...NONE, demand: 90 },
    failed: [{ host: 'registry.example', class: 'demand', failure: 'retry', count: 6 }],
    prefetch: { ahead: { used: 70, unused: 30 }, trace: none, fill: none },
    seconds: { '64k': new Histogram().data, '256k': new Histogram().data, '1m': seconds.data },
  };
}

function waits(): PostedWaits {
  const remote = new Histogram();
  remote.add(0.2);
  return { export: 'a', remote: remote.data, local: remote.data, parked: 3, oldestMs: 1500 };
}

function decoding(): PostedDecoding {
  const counts = new DecodeCounts();
  counts.hits = 31;
  counts.joined = 4;
  counts.decoded('gzip', 0.02);
  counts.digestFailed('estargz');
  return counts.posted(8192);
}

function fetchStatus(): FetchStatus {
  const counters = new Counters();
  const host = counters.of('registry.example');
  host.requests.blob['206'] = 3;
  host.bytes.demand = 100;
  host.seconds.first_byte.add(0.02);
  counters.tokens['granted'] = 1;
  return {
    hosts: [
      {
        host: 'registry.example',
        inFlight: { ...NONE, fill: 2 },
        queued: { ...NONE, ahead: 7 },
        window: 4,
      },
    ],
    ...totals(),
    refetched: 8,
    elsewhere: 0,
    waiting: 3,
    oldestMs: 1500,
    blobs: [blob('sha256:one', 1), blob('sha256:two', 2)],
    registries: [
      { host: 'registry.example', kind: 'registry', breaker: 'open' },
    ] as unknown as FetchStatus['registries'],
    network: { hosts: [...counters.hosts], tokens: counters.tokens },
    cache: {
      folder: '/c',
      degraded: 'the disk is full',
      bytes: 11,
      limit: 12,
      blobs: 2,
      evictedBytes: 13,
      corrupt: 14,
      writeErrors: 15,
    },
  };
}

function measured(change: Partial<Measured> = {}): Measured {
  return {
    status,
    fetch: fetchStatus(),
    totals: new Map([['a', { requests: 10, errors: 1, bytesSent: 4096 }]]),
    failures: new Map([
      [
        'a',
        new Map([
          ['REMOTE', 1],
          ['BAD_CHECKSUM', 2],
        ]),
      ],
    ]),
    waits: new Map([['a', waits()]]),
    spins: { looks: 5, found: 3, nanoseconds: 250_000 },
    decoding: decoding(),
    ...change,
  };
}

await test('what is served, and how', (t) => {
  const lines = metricsText(measured()).split('\n');
  for (const line of [
    'obd_up{version="1.2.3"} 1',
    'obd_exports{state="failed"} 1',
    'obd_export_state{export="b",state="failed"} 1',
    'obd_export_state{export="b",state="served"} 0',
    'obd_reads_total{export="a",result="ok"} 9',
    'obd_reads_total{export="a",result="error"} 1',
    'obd_read_errors_total{export="a",code="REMOTE"} 1',
    'obd_sent_bytes_total{export="a"} 4096',
    'obd_devices{state="waiting"} 1',
    'obd_device_reconnects_total 3',
    'obd_stuck_files 1',
    'obd_spins_total{found="yes"} 3',
    'obd_spins_total{found="no"} 2',
    'obd_spin_seconds_total 0.00025',
    'obd_reads_parked{export="a"} 3',
    'obd_read_oldest_seconds{export="a"} 1.5',
    'obd_read_seconds_bucket{export="a",cached="no",le="0.25"} 1',
    'obd_read_seconds_bucket{export="a",cached="no",le="0.1"} 0',
    'obd_read_seconds_count{export="a",cached="yes"} 1',
    'obd_decode_errors_total{export="a",kind="checksum"} 2',
    'obd_decoded_bytes 8192',
    'obd_decoded_hits_total 31',
    'obd_decoded_misses_total 1',
    'obd_decoded_joined_total 4',
    'obd_decode_seconds_bucket{codec="gzip",le="0.025"} 1',
    'obd_digest_failures_total{format="estargz"} 1',
    'obd_digest_failures_total{format="chunk"} 4',
    'obd_fetch_seconds_bucket{size="1m",le="0.5"} 1',
    'obd_fetch_seconds_count{size="64k"} 0',
    'obd_prefetch_bytes_total{class="ahead",used="yes"} 70',
    'obd_prefetch_bytes_total{class="ahead",used="no"} 30',
    'obd_refetches_total 8',
    'obd_fetch_errors_total{host="registry.example",class="demand",failure="retry"} 6',
    'obd_requests_total{host="registry.example",kind="blob",status="206"} 3',
    'obd_request_seconds_bucket{host="registry.example",phase="first_byte",le="0.025"} 1',
    'obd_fetch_bytes_total{host="registry.example",class="demand"} 100',
    'obd_kept_bytes_total{class="demand"} 90',
    'obd_inflight{host="registry.example",class="fill"} 2',
    'obd_background_window{host="registry.example"} 4',
    'obd_queued_chunks{host="registry.example",class="ahead"} 7',
    'obd_breaker_state{host="registry.example",kind="registry"} 2',
    'obd_tokens_total{result="granted"} 1',
    'obd_cache_bytes 11',
    'obd_cache_limit_bytes 12',
    'obd_cache_hits_total 10',
    'obd_cache_misses_total 4',
    'obd_cache_evicted_bytes_total 13',
    'obd_cache_corrupt_total 14',
    'obd_cache_write_errors_total 15',
    'obd_cache_degraded 1',
    'obd_blob_present_ratio{digest="sha256:one"} 0.25',
  ]) {
    t.ok(lines.includes(line), line);
  }
  t.end();
});

await test('without a fetcher there is nothing about a network', (t) => {
  const text = metricsText(measured({ fetch: null }));
  t.match(text, 'obd_up');
  t.notMatch(text, /obd_(?:cache|request|fetch|breaker)/);
  t.end();
});

await test('docs/metrics.md has every metric, and no other', (t) => {
  const page = readFileSync(new URL('../../../../docs/metrics.md', import.meta.url), 'utf8');
  const documented = new Set([...page.matchAll(/^\| `(obd_\w+)/gm)].map(([, name]) => name));
  const types = metricsText(measured()).matchAll(/^# TYPE (\w+)/gm);
  t.same(documented, new Set([...types].map(([, name]) => name)));
  t.end();
});

await test('gauges of hosts and blobs are bounded', (t) => {
  const fetch = fetchStatus();
  const many = Array.from({ length: 300 }, (_, i) => `h${i}.example`);
  const text = metricsText(
    measured({
      fetch: {
        ...fetch,
        hosts: many.map((host) => ({ host, inFlight: NONE, queued: NONE, window: 8 })),
        registries: many.map((host) => {
          return { host, kind: 'blob', breaker: 'closed', lastError: null };
        }),
        blobs: many.map((digest) => blob(digest, 0)),
      },
    }),
  );
  for (const [metric, samples] of [
    ['obd_inflight', 4 * 256],
    ['obd_queued_chunks', 4 * 256],
    ['obd_background_window', 256],
    ['obd_breaker_state', 256],
    ['obd_blob_present_ratio', 256],
  ] as const) {
    t.equal(text.split(`\n${metric}{`).length - 1, samples, metric);
  }
  t.end();
});
