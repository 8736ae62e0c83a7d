// Sorting a log: stable, also with more entries than one cache-sized part.
import { test } from 'tap';
import { EntryLog } from '../../../daemon/lsmt/entry-log.js';
import { sortLog } from '../../../daemon/lsmt/sort-log.js';
import { seededRandom } from '../../support/pattern.js';

/** More than two parts of 65,536. */
const MANY = 150_000;

function logOf(offsets: readonly number[]): EntryLog {
  const log = new EntryLog(offsets.length);
  for (const [i, offset] of offsets.entries()) log.push(offset, 1 + (i % 9), 8 + i, i % 256);
  return log;
}

await test('a sorted log stays as it is', (t) => {
  for (const offsets of [[], [5], [1, 1, 2, 2 ** 33]]) {
    const log = logOf(offsets);
    t.equal(sortLog(log), null);
    t.same(
      offsets.map((_, i) => log.moffsetOf(i)),
      offsets.map((_, i) => 8 + i),
    );
  }
  t.end();
});

for (const [name, count, spread] of [
  ['few entries', 100, 2 ** 44],
  ['as many entries as fit a part', 65_535, 2 ** 37],
  ['few entries, far apart', 1000, 2 ** 37 + 2 ** 20],
  ['few places, so many entries of one offset', 1000, 3],
  ['many entries, far apart', MANY, 2 ** 44],
  ['many entries, close together', MANY, 1000],
  ['many entries of one offset and one before', MANY, 1],
] as const) {
  await test(`${name}: sorted by offset, and earlier entries first`, (t) => {
    const next = seededRandom(count);
    const offsets = Array.from(
      { length: count },
      () => 1 + Math.floor((next() / 2 ** 32) * spread),
    );
    offsets.push(0);
    const log = logOf(offsets);
    const order = sortLog(log);
    if (!order) throw new Error('it was in order');
    const expected = offsets
      .map((_, i) => i)
      .toSorted((a, b) => (offsets[a] as number) - (offsets[b] as number) || a - b);
    t.ok(
      expected.every((was, i) => order[i] === was),
      'equal offsets keep their order',
    );
    t.ok(
      expected.every(
        (was, i) =>
          log.offsetOf(i) === offsets[was] &&
          log.lengthOf(i) === 1 + (was % 9) &&
          log.moffsetOf(i) === 8 + was &&
          log.tagOf(i) >>> 16 === was % 256,
      ),
      'all fields move together',
    );
    t.end();
  });
}
