// Long work says that it goes on, until it has ended.
import { test } from 'tap';
import { ALIVE_MS, QUESTION_MS } from '../../../daemon/fetch/limits.js';
import { whileTelling } from '../../../daemon/fetch/while-telling.js';
import { FakeClock } from '../../support/fetch-fakes.js';

function working(error: Error | null) {
  const ends: (() => void)[] = [];
  const work = new Promise<string>((resolve, reject) => {
    ends.push(() => (error ? reject(error) : resolve('done')));
  });
  return { work, end: () => ends[0]?.() };
}

await test('it tells in time, and not after the end', async (t) => {
  t.ok(ALIVE_MS * 2 < QUESTION_MS, 'one sign may be late');
  for (const error of [null, new Error('the disk is broken')]) {
    const clock = new FakeClock();
    let told = 0;
    const { work, end } = working(error);
    const telling = whileTelling(
      clock,
      () => told++,
      () => work,
    );
    await clock.pass(ALIVE_MS - 1);
    t.equal(told, 0);
    await clock.pass(1 + 2 * ALIVE_MS);
    t.equal(told, 3);
    end();
    if (error) await t.rejects(telling, error);
    else t.equal(await telling, 'done');
    await clock.pass(10 * ALIVE_MS);
    t.equal(told, 3);
  }
});
