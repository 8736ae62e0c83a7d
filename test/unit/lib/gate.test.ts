// A gate: how many tasks run at a time, in which order, and that a failed task makes room for the next.
import { test } from 'tap';
import { Gate, mapEach, settleEach } from '../../../daemon/lib/gate.js';

await test('no more tasks than its width run at a time, and all run', async (t) => {
  const gate = new Gate(3);
  const begun: number[] = [];
  let inside = 0;
  let most = 0;
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, i) =>
      gate.run(async () => {
        begun.push(i);
        most = Math.max(most, ++inside);
        for (let turn = 0; turn <= i % 4; turn++) await new Promise(setImmediate);
        inside--;
        if (i % 5 === 0) throw new Error(`${i}`);
        return i;
      }),
    ),
  );
  t.equal(most, 3);
  t.same(begun, [...Array(20).keys()]);
  t.equal(results.filter(({ status }) => status === 'rejected').length, 4);
  t.equal(await gate.run(() => Promise.resolve('free')), 'free');
});

await test('a task that takes too long makes room for the next, and still ends', async (t) => {
  const gate = new Gate(1, 5);
  const ends: ((value: string) => void)[] = [];
  const fails: ((error: Error) => void)[] = [];
  const long = gate.run(() => new Promise<string>((resolve) => ends.push(resolve)));
  const lost = gate.run(() => new Promise<string>((_, reject) => fails.push(reject)));
  t.equal(await gate.run(() => Promise.resolve('short')), 'short');
  ends[0]?.('long');
  fails[0]?.(new Error('lost'));
  t.equal(await long, 'long');
  await t.rejects(lost, { message: 'lost' });
  // Each place was released once.
  let inside = 0;
  let most = 0;
  const one = async (): Promise<void> => {
    most = Math.max(most, ++inside);
    await new Promise(setImmediate);
    inside--;
  };
  const narrow = new Gate(2, 60_000);
  await Promise.all(Array.from({ length: 6 }, () => narrow.run(one)));
  t.equal(most, 2);
});

await test('settleEach and mapEach: a failure stops them; the first is thrown', async (t) => {
  const begun: number[] = [];
  const work = async (item: number): Promise<number> => {
    begun.push(item);
    // The later one fails earlier.
    for (let turn = 0; turn < 10 - item; turn++) await new Promise(setImmediate);
    if (item === 2 || item === 3) throw new Error(`${item}`);
    return item;
  };
  const items = [...Array(100).keys()];
  await t.rejects(mapEach(items, 4, work), { message: '2' });
  t.ok(begun.length < 10, `${begun.length} were begun`);
  const settled = await settleEach(items, 4, work);
  t.match(settled.slice(0, 4), [
    { status: 'fulfilled', value: 0 },
    { status: 'fulfilled', value: 1 },
    { reason: { message: '2' } },
    { reason: { message: '3' } },
  ]);
  t.equal(settled.length, 100);
  t.equal(settled[99]?.status, 'rejected');
});
