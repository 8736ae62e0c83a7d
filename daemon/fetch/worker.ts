// The entry of the fetcher's thread: makes its parts and connects them to the main thread.

import { parentPort } from 'node:worker_threads';
import { CacheStore } from '../cache/store.js';
import { errorOf } from '../lib/fault.js';
import { thisProcess } from '../native/process.js';
import { Counters } from '../registry/http/counters.js';
import { RegistryClient } from '../registry/http/client.js';
import { realClock } from './clock.js';
import { FetchThread } from './fetch-thread.js';
import { PostedLog } from './posted-log.js';
import type { FromFetcher, ToFetcher } from './messages.js';

if (!parentPort) throw new Error('fetch/worker.ts runs as a worker thread only');
const port = parentPort;

// Readers of mounted file systems wait for this thread (reactor/worker.ts).
thisProcess.ioFlusher();

const tell = (message: FromFetcher): void => port.postMessage(message);
const log = new PostedLog(tell);
let thread: Promise<FetchThread> | null = null;

port.on('message', (message: ToFetcher) => {
  if (message.type === 'start') {
    thread = start(message);
    return;
  }
  if (message.type === 'line taken') {
    log.taken();
    return;
  }
  if (!thread) throw errorOf('BUG', {}, `${message.type} before the start`);
  void thread.then((started) => started.take(message));
});

async function start({
  settings,
  blobs,
  isPatient,
}: Extract<ToFetcher, { type: 'start' }>): Promise<FetchThread> {
  const counters = new Counters();
  const client = new RegistryClient(settings, {
    log: (line) => log.log('warn', line),
    counters,
    isPatient,
  });
  const store = await CacheStore.open(settings, log);
  return new FetchThread(
    { settings, store, client, counters, log, tell, clock: realClock, end: () => port.close() },
    blobs,
  );
}
