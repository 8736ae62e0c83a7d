// The limits on the effort of opening an image.
import { test } from 'tap';
import {
  ADVANCE_INTERVAL_MS,
  ImageEffort,
  SMALL_IMAGE_UNITS,
  TooLargeHere,
} from '../../../daemon/opener/effort.js';

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
    effort.keep(-10, 'two');
    t.doesNotThrow(() => effort.keep(9, 'three'), 'some of it is free again');
  }
  t.end();
});

await test('work that begins is progress, and is told at intervals', (t) => {
  let [told, now] = [0, 5];
  const effort = new ImageEffort(false, { advanced: () => void told++ }, () => now);
  t.equal(told, 0, 'none before any work');
  for (const [later, expected] of [
    [0, 1],
    [ADVANCE_INTERVAL_MS - 1, 1],
    [1, 2],
    [10 * ADVANCE_INTERVAL_MS, 3],
    [1, 3],
  ] as const) {
    now += later;
    effort.spend(1);
    t.equal(told, expected, `after ${now} ms`);
  }
  now += ADVANCE_INTERVAL_MS;
  t.equal(effort.turn(), null);
  t.equal(told, 4, 'between two pieces of work that was announced at once');
  t.end();
});
