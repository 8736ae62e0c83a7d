// A gate: so many at a time, in the order of their coming, and whoever fails makes room, too.
import { test } from 'tap';
import { Gate } from '../../../daemon/lib/gate.js';

await test('never more than its width, and all in the end', async (t) => {
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
