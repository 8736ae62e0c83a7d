// The effort without limits.
import { test } from 'tap';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';

await test('an unbounded effort refuses nothing and never waits', (t) => {
  t.doesNotThrow(() => UNBOUNDED.spend(Number.MAX_SAFE_INTEGER));
  t.doesNotThrow(() => UNBOUNDED.keep(Number.MAX_SAFE_INTEGER, 'blob'));
  t.equal(UNBOUNDED.turn(), null);
  t.end();
});
