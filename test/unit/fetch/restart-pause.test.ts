// Pauses before the fetcher starts again.
import { test } from 'tap';
import { RestartPause } from '../../../daemon/fetch/restart-pause.js';

await test('from 0.1 s doubled up to 10 s, and from the start after a minute of work', (t) => {
  const pause = new RestartPause();
  const pauses = Array.from({ length: 9 }, () => pause.next(0));
  t.same(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  t.equal(pause.next(60_000), 10_000);
  t.equal(pause.next(60_001), 100);
  t.equal(pause.next(0), 200);
  t.end();
});
