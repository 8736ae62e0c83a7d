// Loaded into a daemon's threads by the soak test (node --import): writes what each thread's heap
// uses, once a second, to the file in $OVERLAYBD_BENCH_HEAP. No part of the product.
import { appendFileSync } from 'node:fs';
import { threadId } from 'node:worker_threads';

const INTERVAL_MS = 1000;

const file = process.env['OVERLAYBD_BENCH_HEAP'];
if (file !== undefined) {
  // It does not keep the process alive, and does not trigger early collections: its own garbage is measured too.
  setInterval(() => {
    const { heapUsed, external } = process.memoryUsage();
    appendFileSync(file, `${Date.now()} ${threadId} ${heapUsed} ${external}\n`);
  }, INTERVAL_MS).unref();
}
