// The clock of the daemon runs at the rate of Node's own.
import { test } from 'tap';
import { monotonicMs } from '../../../daemon/lib/clock.js';

/** A reading of the daemon's clock between two readings of Node's. */
const between = (): [before: number, ours: number, after: number] => [
  performance.now(),
  monotonicMs(),
  performance.now(),
];
/** Milliseconds by which numbers of this size may be rounded. */
const ROUNDING = 0.001;

await test('the clock never goes back, and agrees with performance.now()', (t) => {
  const [before, start, after] = between();
  let last = start;
  for (let i = 0; i < 10_000; i++) {
    const now = monotonicMs();
    if (now < last) t.fail(`${last}, then ${now}`);
    last = now;
  }
  const [laterBefore, end, laterAfter] = between();
  // So the time between both readings is within these.
  const most = laterAfter - before + ROUNDING;
  const least = laterBefore - after - ROUNDING;
  t.ok(end - start <= most && end - start >= least, `${least} <= ${end - start} <= ${most}`);
  t.end();
});
