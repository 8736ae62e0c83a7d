// Runs of neighbours.
import { test } from 'tap';
import { runsOf } from '../../../daemon/cache/runs.js';

await test('runs', (t) => {
  t.same(runsOf([]), []);
  t.same(runsOf([5]), [[5, 5]]);
  t.same(runsOf([0, 1, 2, 4, 6, 7]), [
    [0, 2],
    [4, 4],
    [6, 7],
  ]);
  t.end();
});
