// A fetcher's thread for tests of its handle: real messages and a real scheduler, but blobs in memory and a
// registry that answers at once, or dies, by the name of the repository.

import { parentPort, resourceLimits } from 'node:worker_threads';
import type { CachedSpec } from '../../daemon/blob/cached-source.js';
import { realClock } from '../../daemon/fetch/clock.js';
import type { FromFetcher, ToFetcher } from '../../daemon/fetch/messages.js';
import { PostedLog } from '../../daemon/fetch/posted-log.js';
import { Scheduler } from '../../daemon/fetch/scheduler.js';
import { FetchService } from '../../daemon/fetch/service.js';
import type { RangeRequest, TakeBytes } from '../../daemon/registry/http/client.js';
import { FakeBlob } from './fetch-fakes.js';

if (!parentPort) throw new Error('fetch-worker.ts runs as a worker thread only');
const port = parentPort;
const tell = (message: FromFetcher): void => port.postMessage(message);
const log = new PostedLog(tell);
const blobs = new Map<string, FakeBlob>();

function blobOf(ref: RangeRequest['ref'], spec?: CachedSpec): FakeBlob {
  const known = blobs.get(ref.digest);
  if (known) return known;
  const blob = new FakeBlob(ref.size ?? 0, ref.host, ref.digest.slice('sha256:'.length), spec);
  blobs.set(ref.digest, blob);
  return blob;
}

function fetchRange(request: RangeRequest, take: TakeBytes, signal: AbortSignal): Promise<string> {
  const { ref, first, last } = request;
  const blob = blobOf(ref);
  const lastChunk = blob.chunks - 1;
  // The map outlives the thread, so that it dies for one request only.
  const dies =
    ref.repository === 'dies' || (ref.repository === 'dies once' && !blob.map.has(lastChunk));
  if (dies) {
    blob.map.set(lastChunk);
    setImmediate(() => {
      throw new Error('the thread dies');
    });
  }
  if (dies || ref.repository === 'silent') {
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error));
    });
  }
  take(first, blob.data.subarray(first, last + 1));
  return Promise.resolve(ref.host);
}

const scheduler = new Scheduler({
  client: { fetchRange },
  clock: realClock,
  backgroundMs: () => 20_000,
  lastError: () => 'nothing was heard of it',
});
const service = new FetchService({
  store: { blob: (ref, spec) => Promise.resolve(blobOf(ref, spec)) },
  scheduler,
  client: { fetchRange },
  clock: realClock,
  tell,
  answer: (question) => Promise.resolve(question.type === 'status' ? ({} as never) : null),
  wanted: () => undefined,
  mayFetchAhead: () => true,
  opened: () => undefined,
  closing: ({ ref, cached }) => {
    const { digests } = cached as FakeBlob;
    log.log('info', `closing ${ref.digest}${digests ? `: ${digests.expected(0)}` : ''}`);
  },
});

port.on('message', (message: ToFetcher) => {
  switch (message.type) {
    case 'start':
      log.log('info', `heap ${resourceLimits.maxOldGenerationSizeMb} MiB`);
      return service.restore(message.blobs);
    case 'settings':
      return log.log('info', `deadline ${message.settings.fetchDeadline}`);
    case 'connect':
      return service.connect(message.connection, message.port);
    case 'gone':
      return void service.gone(message.connection);
    case 'adopt':
      return service.blobs.adopt(message.connection, message.blob);
    case 'line taken':
      return log.taken();
    case 'close':
      service.close();
      tell({ type: 'ended' });
      return port.close();
  }
});
