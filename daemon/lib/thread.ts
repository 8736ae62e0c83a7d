// Starts a thread of this program.

import { Worker, type WorkerOptions } from 'node:worker_threads';

/** Given by the bundle (bundle/threads.ts); single modules have none, and take the file as it is now. */
declare const startBundledThread: ((entry: URL, options: WorkerOptions) => Worker) | undefined;

/** @param entry the file of the thread's module; its `workerData` is not free */
export function startThread(entry: URL, options: WorkerOptions): Worker {
  return typeof startBundledThread === 'undefined'
    ? new Worker(entry, options)
    : startBundledThread(entry, options);
}
