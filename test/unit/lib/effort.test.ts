// The effort without limits, and an attempt that is abandoned.
import { test } from 'tap';
import { attempt, UNBOUNDED } from '../../../daemon/lib/effort.js';
import { HeapBudget } from '../../../daemon/lib/heap-budget.js';
import { ImageEffort } from '../../../daemon/opener/effort.js';

await test('an unbounded effort refuses nothing and never waits', (t) => {
  t.doesNotThrow(() => UNBOUNDED.spend(Number.MAX_SAFE_INTEGER));
  t.doesNotThrow(() => UNBOUNDED.keep(Number.MAX_SAFE_INTEGER, 'blob'));
  t.equal(UNBOUNDED.turn(), null);
  t.end();
});

await test('an attempt gives back what it has counted, and nothing else', (t) => {
  let kept = 5;
  const heap = new HeapBudget(100);
  const effort = { ...UNBOUNDED, heap, keep: (bytes: number) => void (kept += bytes) };
  heap.take(10);
  const outer = attempt(effort);
  outer.effort.keep(20, 'blob');
  const inner = attempt(outer.effort);
  inner.effort.keep(40, 'blob');
  inner.effort.keep(-10, 'blob');
  t.ok(inner.heap?.take(90), 'as much as there is');
  t.notOk(inner.heap?.take(1));
  inner.giveBack();
  inner.giveBack();
  t.equal(kept, 25);
  outer.giveBack();
  t.equal(kept, 5);
  t.ok(heap.take(90));
  t.notOk(heap.take(1));
  t.end();
});

await test('what was refused is given back, too, also if there is still too much', (t) => {
  const effort = new ImageEffort(false);
  const [first, second] = [attempt(effort), attempt(effort)];
  t.throws(() => first.effort.keep(2 ** 31, 'first'), { code: 'LIMIT' });
  t.throws(() => second.effort.keep(2 ** 31, 'second'), { code: 'LIMIT' });
  t.doesNotThrow(() => first.giveBack());
  t.doesNotThrow(() => second.giveBack());
  t.doesNotThrow(() => effort.keep(1 << 30, 'third'));
  t.end();
});
