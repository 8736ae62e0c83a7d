// A worker thread that reads one cached blob at random places and compares what it gets. Started by the test
// of eviction with the blob's spec, the seed and the number of reads.

import { performance } from 'node:perf_hooks';
import { parentPort, workerData } from 'node:worker_threads';
import { CachedSource, type CachedSpec } from '../../daemon/blob/cached-source.js';
import { readLoaded } from '../../daemon/lib/loaded.js';
import { files } from '../../daemon/native/file.js';
import { randomBytes, seededRandom } from './pattern.js';

export interface ReaderOrder {
  readonly spec: CachedSpec;
  readonly contentSeed: number;
  readonly seed: number;
  readonly reads: number;
}

/** What the thread wants of the fetcher, which answers with `id` when it is there. */
export interface ReaderWant {
  readonly id: number;
  readonly first: number;
  readonly last: number;
}

export interface ReaderEnd {
  readonly wrong: number;
  /** Reads that failed because their chunks were evicted again and again. */
  readonly gone: number;
}

const MAX_READ = 40_000;
/** Between a look at the map and the read of the file: without it, evictions rarely come in between. */
const MAX_DELAY_MS = 0.1;

/** Makes each read of a file come later. */
function delayReads(next: () => number): void {
  type ReadAtHand = (...args: Parameters<typeof files.readAtHand>) => number;
  const patched: { readAtHand: ReadAtHand } = files;
  const original: ReadAtHand = files.readAtHand.bind(files);
  patched.readAtHand = (...args) => {
    const end = performance.now() + ((next() % 1000) / 1000) * MAX_DELAY_MS;
    while (performance.now() < end);
    return original(...args);
  };
}

async function read(port: NonNullable<typeof parentPort>): Promise<void> {
  const { spec, contentSeed, seed, reads } = workerData as ReaderOrder;
  const content = randomBytes(contentSeed, spec.size);
  const waiting = new Map<number, () => void>();
  let last = 0;
  port.on('message', (id: number) => {
    waiting.get(id)?.();
    waiting.delete(id);
  });
  const ask = (_blob: number, firstChunk: number, lastChunk: number): Promise<void> => {
    const want: ReaderWant = { id: ++last, first: firstChunk, last: lastChunk };
    port.postMessage(want);
    return new Promise((resolve) => waiting.set(want.id, resolve));
  };
  const source = new CachedSource(spec, {
    want: ask,
    refetch: ask,
    hint: () => {},
    drop: () => {},
  });
  const next = seededRandom(seed);
  delayReads(seededRandom(seed + 1));
  const end = { wrong: 0, gone: 0 };
  for (let i = 0; i < reads; i++) {
    const length = 1 + (next() % MAX_READ);
    const offset = next() % (spec.size - length);
    const bytes = Buffer.alloc(length);
    try {
      await readLoaded(source, offset, length, () => source.read(offset, length, bytes, 0));
      if (!bytes.equals(content.subarray(offset, offset + length))) end.wrong++;
    } catch {
      end.gone++;
    }
  }
  port.postMessage(end satisfies ReaderEnd);
  port.close();
}

if (parentPort) await read(parentPort);
