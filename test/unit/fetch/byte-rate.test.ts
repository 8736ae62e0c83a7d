// Bytes a second.
import t from 'tap';
import { ByteRate, pauseOf } from '../../../daemon/fetch/byte-rate.js';
import { FakeClock } from '../../support/fetch-fakes.js';

await t.test('no more than the rate, but for one second at once after a pause', async (test) => {
  const clock = new FakeClock();
  const rate = new ByteRate(clock, () => 1000);
  const { signal } = new AbortController();
  let taken = 0;
  const take = async (): Promise<void> => {
    for (let i = 0; i < 100; i++) {
      await rate.take(100, signal);
      taken += 100;
    }
  };
  const done = take();
  await clock.settle();
  test.equal(taken, 1100);
  await clock.pass(5000);
  test.equal(taken, 6100);
  await clock.pass(5000);
  await done;
  test.equal(taken, 10_000);
});

await t.test('0 is no limit, and an end ends the waiting', async (test) => {
  const clock = new FakeClock();
  let limit = 0;
  const rate = new ByteRate(clock, () => limit);
  const stop = new AbortController();
  await rate.take(1e9, stop.signal);
  limit = 1;
  await rate.take(1e6, stop.signal);
  const waiting = rate.take(1e6, stop.signal);
  stop.abort();
  await waiting;
  await pauseOf(clock, 1000, stop.signal);
  test.equal(clock.timers, 0);
});
