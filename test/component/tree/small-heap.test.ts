// Long names, deep paths, links, whiteouts and values of hostile layers do not fill the heap of the thread that merges them.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { test } from 'tap';

const ENTRY = new URL('small-heap-worker.js', import.meta.url);
/** What the lists would take is at least as much. */
const HEAP_MB = 40;

for (const [name, inodes] of [
  ['links', 12_001],
  ['folders', 1 + 44 + 24_000],
  ['whiteouts', 4 + 44 + 12_000],
  ['record', 2001],
] as const) {
  await test(`${name}: a heap of ${HEAP_MB} MiB is enough`, async (t) => {
    const worker = new Worker(ENTRY, {
      workerData: name,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    });
    const [count] = (await once(worker, 'message')) as [number];
    t.equal(count, inodes);
    await worker.terminate();
  });
}
