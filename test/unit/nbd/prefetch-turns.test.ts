// Turns for prefetching: one at a time for each export, in order, and within a rate.
import { test } from 'tap';
import { PREFETCH_BYTES_PER_MS } from '../../../daemon/nbd/limits.js';
import { PrefetchTurns } from '../../../daemon/nbd/prefetch-turns.js';

await test('an export has one turn at a time, granted in order', async (t) => {
  const turns = new PrefetchTurns(1e9);
  const log: string[] = [];
  const all = Array.from({ length: 4 }, async (_, i) => {
    await turns.take('x');
    log.push(`${i} begins`);
    await new Promise(setImmediate);
    log.push(`${i} ends`);
    turns.pass('x', 100);
  });
  await Promise.all(all);
  t.same(
    log,
    [0, 1, 2, 3].flatMap((i) => [`${i} begins`, `${i} ends`]),
  );
  await turns.take('x');
  turns.pass('x', 0);
});

await test('an export with a stuck disk does not hold up others', async (t) => {
  const turns = new PrefetchTurns(1e9);
  await turns.take('sick');
  void turns.take('sick');
  await turns.take('well');
  turns.pass('well', 1);
  await turns.take('well');
  t.pass('the other export got its turn');
});

await test('the rate of prefetching holds for all exports together', async (t) => {
  const turns = new PrefetchTurns(1000);
  const begin = performance.now();
  for (let i = 0; i < 10; i++) {
    await turns.take(`${i % 2}`);
    turns.pass(`${i % 2}`, 20_000);
  }
  await turns.take('0');
  const took = performance.now() - begin;
  t.ok(
    took >= 180,
    `200,000 bytes at 1,000 a millisecond, of which some may be saved up: ${took} ms`,
  );
});

await test('without a given rate the limit applies', async (t) => {
  const turns = new PrefetchTurns();
  const begin = performance.now();
  await turns.take('x');
  turns.pass('x', 200 * PREFETCH_BYTES_PER_MS);
  await turns.take('x');
  const took = performance.now() - begin;
  t.ok(took >= 180, `what takes 200 ms, of which some may be saved up: ${took} ms`);
});
