// A thread that reads a blob of a registry at random through its own client of the fetcher, until it has read all
// of it, and compares every byte with the original.

import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import type { RegistryRef } from '../../daemon/blob/blob-ref.js';
import { CachedSource } from '../../daemon/blob/cached-source.js';
import { readFully } from '../../daemon/blob/source.js';
import { FetchClient } from '../../daemon/fetch/client.js';

export interface ReadingTask {
  readonly port: MessagePort;
  readonly ref: RegistryRef;
  readonly original: SharedArrayBuffer;
  readonly seed: number;
}

/** Bytes of one read, at most. */
const LONGEST = 300_000;
const PARALLEL = 8;

const { port, ref, original, seed } = workerData as ReadingTask;
const bytes = Buffer.from(original);
const client = new FetchClient(port);
const spec = await client.open(ref);
const source = new CachedSource(spec, client);

let state = seed;
function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

const pieces = Array.from({ length: Math.ceil(ref.size / LONGEST) }, (_, i) => i * LONGEST);
for (let i = pieces.length - 1; i > 0; i--) {
  const other = random(i + 1);
  [pieces[i], pieces[other]] = [pieces[other] ?? 0, pieces[i] ?? 0];
}

let wrong = 0;
let read = 0;
async function reader(): Promise<void> {
  for (let offset = pieces.pop(); offset !== undefined; offset = pieces.pop()) {
    const length = Math.min(LONGEST, ref.size - offset);
    const small = random(length);
    for (const [from, size] of [
      [offset + small, Math.min(4096, length - small)],
      [offset, length],
    ] as const) {
      const got = await readFully(source, from, size);
      if (!got.equals(bytes.subarray(from, from + size))) wrong++;
      read += size;
    }
  }
}
await Promise.all(Array.from({ length: PARALLEL }, () => reader()));
client.close(spec.blob);
parentPort?.postMessage({ wrong, read });
client.shut();
