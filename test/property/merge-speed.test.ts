// The time to merge and pack a million segments, and how it grows; not whether the result is right.
import { test } from 'tap';
import { buildIndex } from '../../daemon/lsmt/build-index.js';
import { EntryLog } from '../../daemon/lsmt/entry-log.js';
import { seededRandom } from '../support/pattern.js';

const LAYERS = 20;
/** Milliseconds of CPU time. The goal is 3 s. */
const LIMIT = 6000;
const RUNS = 5;

/** `total` segments in as many layers as real images have, each scattered over the whole disk. */
function logOf(total: number): EntryLog {
  const next = seededRandom(total);
  const perLayer = total / LAYERS;
  const log = new EntryLog(total);
  for (let layer = 0; layer < LAYERS; layer++) {
    let offset = 0;
    let moffset = 8;
    for (let i = 0; i < perLayer; i++) {
      offset += next() % 64;
      const length = 1 + (next() % 16);
      log.push(offset, length, moffset, layer);
      offset += length;
      moffset += length + 1;
    }
  }
  return log;
}

/** CPU time of this process in ms: other processes do not add to it. */
function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** CPU time of the fastest of several runs in ms: garbage collection makes the others slower. */
function timeOf(total: number): { best: number; merged: number } {
  let best = Infinity;
  let merged = 0;
  for (let run = 0; run < RUNS; run++) {
    const log = logOf(total);
    const start = cpuTime();
    const index = buildIndex(log, 2 ** 40, 'stack');
    best = Math.min(best, cpuTime() - start);
    merged = index.count;
  }
  return { best, merged };
}

await test('a million segments in 20 layers merge in seconds, nearly linearly', async (t) => {
  timeOf(50_000);
  const half = timeOf(500_000);
  const full = timeOf(1_000_000);
  t.comment(
    `500,000 segments: ${half.best.toFixed(0)} ms; 1,000,000: ${full.best.toFixed(0)} ms, ${full.merged} after merging`,
  );
  t.ok(full.merged > 300_000, 'most segments stay visible and separate');
  t.ok(full.best < LIMIT, `${full.best.toFixed(0)} ms, limit ${LIMIT}`);
  t.ok(
    full.best < 3.5 * half.best,
    `twice the segments, ${(full.best / half.best).toFixed(2)} times`,
  );
});
