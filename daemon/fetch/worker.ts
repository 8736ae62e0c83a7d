// The entry of the fetcher's thread: makes its parts and connects them to the main thread.

import { parentPort } from 'node:worker_threads';

if (!parentPort) throw new Error('fetch/worker.ts runs as a worker thread only');
