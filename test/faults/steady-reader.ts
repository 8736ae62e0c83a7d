// A thread that reads an export that is cached, one read after the other, and counts: its speed is not that of the test's
// own thread, which plays the registries.
import { workerData } from 'node:worker_threads';
import { seededRandom } from '../support/pattern.js';
import { RawNbdClient } from '../support/nbd-client.js';

export interface SteadyTask {
  readonly socketPath: string;
  readonly export: string;
  readonly size: number;
  /** Bytes of a read. */
  readonly length: number;
  /** Int32: reads that are done, errors, and whether it shall end. */
  readonly counters: SharedArrayBuffer;
}

const { socketPath, export: name, size, length, counters } = workerData as SteadyTask;
const counts = new Int32Array(counters);
const client = await RawNbdClient.open({ path: socketPath }, name);
const random = seededRandom(1);
while (Atomics.load(counts, 2) === 0) {
  const offset = (random() % ((size - length) / 512)) * 512;
  client.request({ cookie: 1n, offset, length });
  const { error } = await client.reply(600_000);
  if (error === 0) await client.take(length, 600_000);
  Atomics.add(counts, error === 0 ? 0 : 1, 1);
}
client.destroy();
