// Many deadlines with few timers.
import t from 'tap';
import { Deadlines } from '../../../daemon/fetch/deadlines.js';
import { FakeClock } from '../../support/fetch-fakes.js';

await t.test('each rings once, not after its deadline and little before it', async (test) => {
  const clock = new FakeClock();
  const rung = new Map<number, number>();
  const deadlines = new Deadlines<{ readonly deadline: number }>(clock, ({ deadline }) => {
    test.notOk(rung.has(deadline));
    rung.set(deadline, clock.now());
  });
  const all = Array.from({ length: 1000 }, (_, i) => clock.now() + ((i * 7919) % 5000));
  for (const deadline of all) deadlines.add({ deadline });
  test.equal(clock.timers, 1);
  await clock.pass(6000);
  test.equal(rung.size, 1000);
  for (const [deadline, at] of rung) test.ok(at <= Math.max(deadline, 1000) && at > deadline - 50);
  test.equal(clock.timers, 0);
});

await t.test(
  'what is removed does not ring, and what waits for ever has no timer',
  async (test) => {
    const clock = new FakeClock();
    const rung: unknown[] = [];
    const deadlines = new Deadlines<{ readonly deadline: number }>(
      clock,
      (each) => void rung.push(each),
    );
    const first = { deadline: clock.now() + 100 };
    const second = { deadline: clock.now() + 110 };
    deadlines.add(first);
    deadlines.add(second);
    deadlines.add({ deadline: Infinity });
    deadlines.remove(first);
    deadlines.remove(first);
    await clock.pass(200);
    test.same(rung, [second]);
    test.equal(clock.timers, 0);
  },
);
