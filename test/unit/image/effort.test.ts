// The limits on the effort of opening an image.
import { test } from 'tap';
import { ImageEffort, SMALL_IMAGE_UNITS, TooLargeHere } from '../../../daemon/image/effort.js';

/** A GiB, as docs/limits.md says. */
const MAX_TABLES = 1 << 30;

await test('the calling thread opens small images only, and yields regularly', async (t) => {
  const effort = new ImageEffort(true);
  effort.spend(SMALL_IMAGE_UNITS);
  t.throws(() => effort.spend(1), TooLargeHere);
  await effort.turn();
  t.not(effort.turn(), null);
});

await test('a thread of its own has no such limit', (t) => {
  const effort = new ImageEffort(false);
  t.doesNotThrow(() => effort.spend(100 * SMALL_IMAGE_UNITS));
  t.equal(effort.turn(), null);
  t.end();
});

await test('the jump tables of an image have a limit on every thread', (t) => {
  for (const isShared of [true, false]) {
    const effort = new ImageEffort(isShared);
    effort.keep(MAX_TABLES, 'one');
    t.throws(() => effort.keep(1, 'two'), { code: 'LIMIT', message: /^two: / });
  }
  t.end();
});
