// A flood of anything is told once a key and interval, with its count; and memory does not grow with it.
import { test } from 'tap';
import { Repeats, type RepeatLimits, type Telling } from '../../../daemon/lib/repeats.js';

const LIMITS: RepeatLimits = { intervalMs: 1000, keys: 3, burst: 1, lines: 100 };

class World {
  now = 5;
  readonly told: Telling<string>[] = [];
  readonly repeats: Repeats<string>;

  constructor(limits: Partial<RepeatLimits> = {}) {
    const tell = (telling: Telling<string>): void => void this.told.push(telling);
    this.repeats = new Repeats({ ...LIMITS, ...limits }, tell, () => this.now);
  }

  /** "subject count", with "mixed" for what is not of one key. */
  take(): string[] {
    return this.told
      .splice(0)
      .map(({ subject, count, mixed }) => `${subject} ${count}${mixed ? ' mixed' : ''}`);
  }

  later(ms: number): void {
    this.now += ms;
    this.repeats.sweep();
  }
}

await test('the first at once, the others with their count once the interval is over', (t) => {
  const world = new World();
  for (let i = 0; i < 1000; i++) world.repeats.note('a', `a${i}`);
  t.same(world.take(), ['a0 0']);
  world.later(999);
  t.same(world.take(), []);
  world.later(1);
  t.same(world.take(), ['a999 999']);
  t.end();
});

await test('what goes on is one telling an interval; what has ended is forgotten', (t) => {
  const world = new World();
  for (let second = 0; second < 5; second++) {
    for (let i = 0; i < 10; i++) world.repeats.note('a', 'a');
    world.later(1000);
  }
  t.same(world.take(), ['a 0', 'a 9', 'a 10', 'a 10', 'a 10', 'a 10']);
  world.later(1000);
  t.same(world.take(), [], 'nothing to tell is not told');
  world.repeats.note('a', 'again');
  t.same(world.take(), ['again 0'], 'and it begins anew');
  t.end();
});

await test('a burst is told one by one', (t) => {
  const world = new World({ burst: 3 });
  for (let i = 0; i < 5; i++) world.repeats.note('a', `a${i}`);
  t.same(world.take(), ['a0 0', 'a1 0', 'a2 0']);
  world.later(1000);
  t.same(world.take(), ['a4 2']);
  t.end();
});

await test('more keys than there is room for share one', (t) => {
  const world = new World();
  for (let i = 0; i < 50; i++) world.repeats.note(`key ${i}`, `k${i}`);
  world.repeats.note(null, 'counted elsewhere', 7);
  t.same(world.take(), ['k0 0', 'k1 0', 'k2 0']);
  world.later(1000);
  t.same(world.take(), ['counted elsewhere 54 mixed']);
  world.later(1000);
  t.same(world.take(), []);
  world.repeats.note('key 40', 'k40');
  t.same(world.take(), ['k40 0'], 'there is room again');
  t.end();
});

await test('many keys are not many lines', (t) => {
  const world = new World({ keys: 50, burst: 10, lines: 20 });
  for (let i = 0; i < 500; i++) world.repeats.note(`key ${i % 50}`, 's');
  t.equal(world.take().length, 50 + 20);
  world.later(1000);
  const counts = world.told.splice(0).map(({ count }) => count);
  t.ok(counts.length <= 50, `${counts.length} counts`);
  t.equal(
    counts.reduce((sum, each) => sum + each, 0),
    500 - 70,
    'and none is lost',
  );
  t.end();
});

await test('counts that come in, and the end', (t) => {
  const world = new World();
  world.repeats.note('a', 'a', 100);
  t.same(world.take(), ['a 0']);
  world.repeats.sweep(true);
  t.same(world.take(), ['a 99']);
  world.repeats.sweep(true);
  t.same(world.take(), []);
  t.end();
});
