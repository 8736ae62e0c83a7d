// All metrics of a daemon, from its status and the fetcher's. docs/metrics.md explains each.

import type { DaemonStatus } from '../control/api.js';
import { MAX_COUNTED_HOSTS, TRANSFER_SIZES } from '../fetch/fetch-totals.js';
import type { FetchStatus } from '../fetch/status.js';
import { LATENCY_BOUNDS } from '../lib/histogram.js';
import {
  MAX_COUNTED_EXPORTS,
  type ExportCounters,
  type ExportTotals,
} from '../reactor/export-counters.js';
import type { PostedDecoding, SpinCounts } from '../reactor/messages.js';
import type { PostedWaits } from '../reactor/export-waits.js';
import { MetricsText } from './text.js';

export interface Measured {
  readonly status: DaemonStatus;
  /** null while nothing remote has been opened. */
  readonly fetch: FetchStatus | null;
  readonly totals: ReadonlyMap<string, Readonly<ExportTotals>>;
  readonly failures: ExportCounters['failures'];
  /** By export. Exports whose reads never waited are missing. */
  readonly waits: ReadonlyMap<string, PostedWaits>;
  /** Looks of the threads for the next request. */
  readonly spins: SpinCounts;
  /** null while no export has anything to decode. */
  readonly decoding: PostedDecoding | null;
}

const CLASSES = ['demand', 'ahead', 'trace', 'fill'] as const;
const STATES = ['served', 'opening', 'failed'] as const;
/** Kinds of decode errors, by code. */
const DECODE_ERRORS = { BAD_CHECKSUM: 'checksum', BAD_DATA: 'data' } as const;
const BREAKERS = { closed: 0, probing: 1, open: 2 } as const;

export function metricsText(measured: Measured): string {
  const text = new MetricsText();
  addExports(text, measured);
  addWaits(text, measured);
  addDevices(text, measured.status);
  if (measured.decoding) addDecoding(text, measured.decoding);
  addDigestFailures(text, measured);
  if (measured.fetch) {
    addFetches(text, measured.fetch);
    addNetwork(text, measured.fetch);
    addCache(text, measured.fetch);
  }
  return text.toString();
}

function addExports(text: MetricsText, { status, totals, failures, spins }: Measured): void {
  text.family('obd_up', 'gauge', 'The daemon answers.').sample(1, { version: status.version });
  text.family('obd_exports', 'gauge', 'Exports by state.');
  for (const state of STATES) text.sample(status.images[state], { state });
  text.family('obd_export_state', 'gauge', 'Whether an export is in the state.');
  for (const { name, state } of status.exports.slice(0, MAX_COUNTED_EXPORTS)) {
    for (const each of STATES) text.sample(state === each ? 1 : 0, { export: name, state: each });
  }
  text.family('obd_clients', 'gauge', 'Connections of clients.').sample(status.clients);
  text.family('obd_reads_total', 'counter', 'Requests of clients and devices, by result.');
  for (const [name, { requests, errors }] of totals) {
    text.sample(requests - errors, { export: name, result: 'ok' });
    text.sample(errors, { export: name, result: 'error' });
  }
  text.family('obd_sent_bytes_total', 'counter', 'Bytes of replies.');
  for (const [name, { bytesSent }] of totals) text.sample(bytesSent, { export: name });
  text.family('obd_read_errors_total', 'counter', 'Reads that failed, by the code of the error.');
  for (const [name, codes] of failures) {
    for (const [code, count] of codes) text.sample(count, { export: name, code });
  }
  text.family('obd_decode_errors_total', 'counter', 'Reads that failed in decoding, by kind.');
  for (const [name, codes] of failures) {
    for (const [code, kind] of Object.entries(DECODE_ERRORS)) {
      const count = codes.get(code) ?? 0;
      if (count > 0) text.sample(count, { export: name, kind });
    }
  }
  text.family(
    'obd_spins_total',
    'counter',
    'How often a thread looked for the next request before it slept.',
  );
  text.sample(spins.found, { found: 'yes' });
  text.sample(spins.looks - spins.found, { found: 'no' });
  text.family('obd_spin_seconds_total', 'counter', 'CPU seconds that threads looked for requests.');
  text.sample(spins.nanoseconds / 1e9);
  text.family('obd_stuck_files', 'gauge', 'Files whose reads have not come back in time.');
  text.sample(status.stuckFiles.length);
}

function addDecoding(text: MetricsText, decoding: PostedDecoding): void {
  const { hits, misses, joined, bytes, seconds } = decoding;
  text.family('obd_decoded_bytes', 'gauge', 'Bytes of decoded pieces in memory.').sample(bytes);
  text.family('obd_decoded_hits_total', 'counter', 'Reads of pieces that were decoded already.');
  text.sample(hits);
  text.family('obd_decoded_misses_total', 'counter', 'Pieces that were decoded.');
  text.sample(misses);
  text.family('obd_decoded_joined_total', 'counter', 'Waits for a piece of another thread.');
  text.sample(joined);
  text.family('obd_decode_seconds', 'histogram', 'Seconds to decode and check a piece, by codec.');
  for (const [codec, histogram] of seconds) text.histogram(histogram, LATENCY_BOUNDS, { codec });
}

function addDigestFailures(text: MetricsText, { decoding, fetch }: Measured): void {
  if (!decoding && !fetch) return;
  text.family('obd_digest_failures_total', 'counter', 'Digests that did not match, by format.');
  for (const [format, count] of decoding?.failures ?? []) text.sample(count, { format });
  if (fetch && fetch.wrong > 0) text.sample(fetch.wrong, { format: 'chunk' });
}

function addDevices(text: MetricsText, { devices }: DaemonStatus): void {
  text.family('obd_devices', 'gauge', 'Attached devices by state.');
  for (const state of ['connected', 'waiting', 'failed'] as const) {
    text.sample(devices.filter((each) => each.state === state).length, { state });
  }
  text.family(
    'obd_device_reconnects_total',
    'counter',
    'Connections of devices that were replaced.',
  );
  text.sample(devices.reduce((sum, { reconnects }) => sum + reconnects, 0));
}

/** Includes reads that are still waiting. */
function addWaits(text: MetricsText, { waits }: Measured): void {
  text.family(
    'obd_read_seconds',
    'histogram',
    'Seconds until the answer, of reads that had to wait.',
  );
  for (const [name, { remote, local }] of waits) {
    text.histogram(remote, LATENCY_BOUNDS, { export: name, cached: 'no' });
    text.histogram(local, LATENCY_BOUNDS, { export: name, cached: 'yes' });
  }
  text.family('obd_reads_parked', 'gauge', 'Reads that wait for a registry.');
  for (const [name, { parked }] of waits) text.sample(parked, { export: name });
  text.family('obd_read_oldest_seconds', 'gauge', 'How long the oldest waiting read has waited.');
  for (const [name, { oldestMs }] of waits) text.sample(oldestMs / 1000, { export: name });
}

function addFetches(
  text: MetricsText,
  { failed, prefetch, refetched, seconds }: FetchStatus,
): void {
  text.family(
    'obd_fetch_errors_total',
    'counter',
    'Chunks that were wanted and could not be fetched.',
  );
  for (const { host, class: each, failure, count } of failed) {
    text.sample(count, { host, class: each, failure });
  }
  text.family('obd_fetch_seconds', 'histogram', 'Seconds of whole transfers, by size.');
  for (const size of TRANSFER_SIZES) {
    text.histogram(seconds[size], LATENCY_BOUNDS, { size });
  }
  text.family('obd_prefetch_bytes_total', 'counter', 'Bytes fetched before they were wanted.');
  for (const each of ['ahead', 'trace', 'fill'] as const) {
    text.sample(prefetch[each].used, { class: each, used: 'yes' });
    text.sample(prefetch[each].unused, { class: each, used: 'no' });
  }
  text.family(
    'obd_refetches_total',
    'counter',
    'Chunks that were fetched again because of wrong bytes.',
  );
  text.sample(refetched);
}

function addNetwork(text: MetricsText, { hosts, bytes, registries, network }: FetchStatus): void {
  text.family(
    'obd_requests_total',
    'counter',
    'Requests to registries, stores and mirrors, by status.',
  );
  for (const [host, counters] of network.hosts) {
    for (const [kind, byStatus] of Object.entries(counters.requests)) {
      for (const [status, count] of Object.entries(byStatus)) {
        text.sample(count, { host, kind, status });
      }
    }
  }
  text.family(
    'obd_request_seconds',
    'histogram',
    'Seconds that requests and their connections take.',
  );
  for (const [host, { seconds }] of network.hosts) {
    for (const [phase, histogram] of Object.entries(seconds)) {
      if (histogram.count > 0) text.histogram(histogram, LATENCY_BOUNDS, { host, phase });
    }
  }
  text.family('obd_fetch_bytes_total', 'counter', 'Bytes of blobs that were received.');
  for (const [host, counters] of network.hosts) {
    for (const each of CLASSES) text.sample(counters.bytes[each], { host, class: each });
  }
  text.family('obd_kept_bytes_total', 'counter', 'Bytes that were put into the cache.');
  for (const each of CLASSES) text.sample(bytes[each], { class: each });
  text.family('obd_inflight', 'gauge', 'Transfers by the host of the reference.');
  const named = hosts.slice(0, MAX_COUNTED_HOSTS);
  for (const { host, inFlight } of named) {
    for (const each of CLASSES) text.sample(inFlight[each], { host, class: each });
  }
  text.family('obd_background_window', 'gauge', 'Background transfers that a host may have.');
  for (const { host, window } of named) text.sample(window, { host });
  text.family('obd_queued_chunks', 'gauge', 'Chunks that wait for a transfer.');
  for (const { host, queued } of named) {
    for (const each of CLASSES) text.sample(queued[each], { host, class: each });
  }
  text.family('obd_breaker_state', 'gauge', '0: closed, 1: probing, 2: open.');
  for (const { host, kind, breaker } of registries.slice(0, MAX_COUNTED_HOSTS)) {
    text.sample(BREAKERS[breaker], { host, kind });
  }
  text.family('obd_tokens_total', 'counter', 'Exchanges of tokens, by result.');
  for (const [result, count] of Object.entries(network.tokens)) text.sample(count, { result });
}

function addCache(text: MetricsText, { blobs, cache }: FetchStatus): void {
  text.family('obd_cache_bytes', 'gauge', 'Bytes of the cache on disk.').sample(cache.bytes);
  if (cache.limit !== null) {
    text.family('obd_cache_limit_bytes', 'gauge', 'Limit of the cache.').sample(cache.limit);
  }
  text.family('obd_cache_hits_total', 'counter', 'Reads that the cache answered.');
  text.sample(blobs.reduce((sum, { hits }) => sum + hits, 0));
  text.family('obd_cache_misses_total', 'counter', 'Reads that the cache could not answer.');
  text.sample(blobs.reduce((sum, { misses }) => sum + misses, 0));
  text.family('obd_cache_evicted_bytes_total', 'counter', 'Bytes that were evicted.');
  text.sample(cache.evictedBytes);
  text.family('obd_cache_corrupt_total', 'counter', 'Chunks that did not match their checksum.');
  text.sample(cache.corrupt);
  text.family('obd_cache_write_errors_total', 'counter', 'Writes to the cache that failed.');
  text.sample(cache.writeErrors);
  text.family('obd_cache_degraded', 'gauge', 'Whether chunks are kept in memory only.');
  text.sample(cache.degraded === null ? 0 : 1);
  text.family('obd_blob_present_ratio', 'gauge', 'The part of an open blob that is in the cache.');
  for (const { digest, present } of blobs.slice(0, MAX_COUNTED_EXPORTS))
    text.sample(present, { digest });
}
