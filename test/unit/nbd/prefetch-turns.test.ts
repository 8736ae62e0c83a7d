// Turns of those who have the system read ahead: one for each export, in order, and not too many bytes.
import { test } from 'tap';
import { PREFETCH_BYTES_PER_MS } from '../../../daemon/nbd/limits.js';
import { PrefetchTurns } from '../../../daemon/nbd/prefetch-turns.js';

await test('one at a time of an export, first come, first served', async (t) => {
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

await test('an export whose disk is stuck holds up no other', async (t) => {
  const turns = new PrefetchTurns(1e9);
  await turns.take('sick');
  void turns.take('sick');
  await turns.take('well');
  turns.pass('well', 1);
  await turns.take('well');
  t.pass('went on');
});

await test('all exports together are read ahead no faster than they may', async (t) => {
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

await test('unless it is given another rate, it keeps to the limit', async (t) => {
  const turns = new PrefetchTurns();
  const begin = performance.now();
  await turns.take('x');
  turns.pass('x', 200 * PREFETCH_BYTES_PER_MS);
  await turns.take('x');
  const took = performance.now() - begin;
  t.ok(took >= 180, `what takes 200 ms, of which some may be saved up: ${took} ms`);
});
