// One budget for all layers: what parts take counts in the whole, and comes back to it.
import { test } from 'tap';
import { HeapBudget } from '../../../daemon/lib/heap-budget.js';

await test('parts share the whole', (t) => {
  const whole = new HeapBudget(100);
  const [lower, upper] = [whole.part(), whole.part()];
  t.ok(lower.take(60));
  t.equal(upper.most, 100);
  t.ok(upper.take(40));
  t.notOk(upper.take(1));
  t.ok(upper.take(-1), 'given back');
  t.ok(lower.settle(10));
  t.ok(upper.take(50), 'what the lower one needs no longer');
  t.notOk(lower.settle(11), 'a part that grows again');
  t.ok(upper.settle(0));
  t.ok(whole.take(89));
  t.notOk(whole.take(1));
  t.end();
});
