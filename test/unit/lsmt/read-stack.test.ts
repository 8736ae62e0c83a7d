// The indexes of a stack: their order, layers that occur twice, and the limit on entries.
import { test } from 'tap';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import type { LsmtLayer } from '../../../daemon/lsmt/layer.js';
import { checkStackEntries, readStack, targetNumbers } from '../../../daemon/lsmt/read-stack.js';

/** The limit on index entries of all layers of a stack (docs/limits.md). */
const MAX_STACK_ENTRIES = 20_971_520;

/** A layer that maps one sector and claims `capacity` entries. */
function layerOf(sector: number, capacity = 1): LsmtLayer {
  return {
    kind: 'sealed',
    header: {} as LsmtLayer['header'],
    capacity,
    hasTarget: false,
    readEntries: async (log, layer) => {
      log.push(sector, 1, 8, layer);
      return { entries: 1, paddingEntries: capacity - 1 };
    },
  };
}

await test('layers are read bottom first and numbered from the bottom', async (t) => {
  const log = await readStack([layerOf(7), layerOf(3)], 'stack', UNBOUNDED);
  t.same(
    [0, 1].map((i) => [log.offsetOf(i), log.tagOf(i) >>> 16]),
    [
      [7, 0],
      [3, 1],
    ],
  );
});

await test('a layer that occurs twice is read once, at its upper place', async (t) => {
  const twice = layerOf(7);
  const log = await readStack([twice, layerOf(3), twice], 'stack', UNBOUNDED);
  t.equal(log.count, 2);
  t.same(
    [0, 1].map((i) => [log.offsetOf(i), log.tagOf(i) >>> 16]),
    [
      [3, 1],
      [7, 2],
    ],
  );
});

await test('targets are numbered after all layers', async (t) => {
  const [low, high] = [7, 3].map((sector): LsmtLayer => ({
    ...layerOf(sector),
    hasTarget: true,
    readEntries: async (log, _layer, _effort, _sink, target = -1) => {
      log.push(sector, 1, 8, target);
      return { entries: 1, paddingEntries: 0 };
    },
  })) as [LsmtLayer, LsmtLayer];
  t.same(targetNumbers([low, layerOf(1), high]), [3, null, 4]);
  const log = await readStack([low, layerOf(1), high], 'stack', UNBOUNDED);
  t.same(
    [0, 1, 2].map((i) => log.tagOf(i) >>> 16),
    [3, 1, 4],
  );
});

await test('the limit on entries: exactly as many, and one more', async (t) => {
  const half = layerOf(0, MAX_STACK_ENTRIES / 2);
  t.doesNotThrow(() => checkStackEntries([half, layerOf(1, MAX_STACK_ENTRIES / 2)], 'stack'));
  const over = [half, layerOf(1, MAX_STACK_ENTRIES / 2 + 1)];
  const problem = {
    code: 'LIMIT',
    message: `stack: ${MAX_STACK_ENTRIES + 1} index entries in its lowest 2 layers, at most ${MAX_STACK_ENTRIES} in a stack`,
  };
  t.throws(() => checkStackEntries(over, 'stack'), problem);
  await t.rejects(readStack(over, 'stack', UNBOUNDED), problem);
});
