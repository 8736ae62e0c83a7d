// Waiting with a time limit.
import { test } from 'tap';
import { inTime } from '../../../daemon/lib/in-time.js';

await test('work that is done in time, work that is late, and work that fails', async (t) => {
  t.equal(await inTime(Promise.resolve(5), 60_000), true);
  t.equal(await inTime(new Promise(() => undefined), 1), false);
  await t.rejects(inTime(Promise.reject(new Error('no')), 60_000), { message: 'no' });
});
