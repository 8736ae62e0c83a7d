// Work one piece after the other.
import { test } from 'tap';
import { Turns } from '../../../daemon/lib/turns.js';
import { deferred } from '../../support/deferred.js';

await test('work runs in the order of its calls, whatever its duration and end', async (t) => {
  const turns = new Turns();
  const order: string[] = [];
  const gate = deferred();
  const first = turns.run(async () => {
    order.push('first begins');
    await gate.promise;
    order.push('first ends');
    throw new Error('wrong');
  });
  const second = turns.run(async () => {
    order.push('second');
    return 2;
  });
  const third = turns.run(() => {
    throw new TypeError('at once');
  });
  const fourth = turns.run(async () => order.push('fourth'));
  gate.resolve();
  await t.rejects(first, { message: 'wrong' });
  t.equal(await second, 2);
  await t.rejects(third, TypeError);
  await fourth;
  t.same(order, ['first begins', 'first ends', 'second', 'fourth']);
});
