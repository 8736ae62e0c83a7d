// A flood of events makes one report for each key and interval, with the count, in bounded memory.
import { test } from 'tap';
import { Repeats, type RepeatLimits, type RepeatReport } from '../../../daemon/lib/repeats.js';

const LIMITS: RepeatLimits = { intervalMs: 1000, keys: 3, burst: 1, lines: 100 };

class World {
  now = 5;
  readonly reports: RepeatReport<string>[] = [];
  readonly repeats: Repeats<string>;

  constructor(limits: Partial<RepeatLimits> = {}) {
    const tell = (report: RepeatReport<string>): void => void this.reports.push(report);
    this.repeats = new Repeats({ ...LIMITS, ...limits }, tell, () => this.now);
  }

  /** "subject count", and "mixed" if the count is for several keys. */
  take(): string[] {
    return this.reports
      .splice(0)
      .map(({ subject, count, mixed }) => `${subject} ${count}${mixed ? ' mixed' : ''}`);
  }

  later(ms: number): void {
    this.now += ms;
    this.repeats.sweep();
  }
}

await test('the first event is reported at once, the others as a count after the interval', (t) => {
  const world = new World();
  for (let i = 0; i < 1000; i++) world.repeats.note('a', `a${i}`);
  t.same(world.take(), ['a0 0']);
  world.later(999);
  t.same(world.take(), []);
  world.later(1);
  t.same(world.take(), ['a999 999']);
  t.end();
});

await test('continuing events make one report an interval; a key without events is forgotten', (t) => {
  const world = new World();
  for (let second = 0; second < 5; second++) {
    for (let i = 0; i < 10; i++) world.repeats.note('a', 'a');
    world.later(1000);
  }
  t.same(world.take(), ['a 0', 'a 9', 'a 10', 'a 10', 'a 10', 'a 10']);
  world.later(1000);
  t.same(world.take(), [], 'a count of 0 is not reported');
  world.repeats.note('a', 'again');
  t.same(world.take(), ['again 0'], 'and the key starts again');
  t.end();
});

await test('a burst is reported one by one', (t) => {
  const world = new World({ burst: 3 });
  for (let i = 0; i < 5; i++) world.repeats.note('a', `a${i}`);
  t.same(world.take(), ['a0 0', 'a1 0', 'a2 0']);
  world.later(1000);
  t.same(world.take(), ['a4 2']);
  t.end();
});

await test('keys beyond the limit share one count', (t) => {
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

await test('reports of all keys together are bounded', (t) => {
  const world = new World({ keys: 50, burst: 10, lines: 20 });
  for (let i = 0; i < 500; i++) world.repeats.note(`key ${i % 50}`, 's');
  t.equal(world.take().length, 50 + 20);
  world.later(1000);
  const counts = world.reports.splice(0).map(({ count }) => count);
  t.ok(counts.length <= 50, `${counts.length} counts`);
  t.equal(
    counts.reduce((sum, count) => sum + count, 0),
    500 - 70,
    'no event is lost',
  );
  t.end();
});

await test('events that the caller has counted itself, and the last sweep', (t) => {
  const world = new World();
  world.repeats.note('a', 'a', 100);
  t.same(world.take(), ['a 0']);
  world.repeats.sweep(true);
  t.same(world.take(), ['a 99']);
  world.repeats.sweep(true);
  t.same(world.take(), []);
  t.end();
});
