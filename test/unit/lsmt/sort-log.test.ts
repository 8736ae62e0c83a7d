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
    t.equal(sortLog(log).times, null);
    t.equal(sortLog(log, true).times, null);
    t.same(
      offsets.map((_, i) => log.moffsetOf(i)),
      offsets.map((_, i) => 8 + i),
    );
  }
  t.end();
});

for (const [name, count, spread, mayStay] of [
  ['few entries', 100, 2 ** 36, true],
  ['as many entries as fit a part', 65_535, 2 ** 37, true],
  ['few entries, far apart', 1000, 2 ** 44, false],
  ['few places, so many entries of one offset', 1000, 3, true],
  ['many entries, far apart', MANY, 2 ** 44, false],
  ['many entries, close together', MANY, 1000, false],
  ['many entries of one offset and one before', MANY, 1, false],
] as const) {
  await test(`${name}: sorted by offset, and earlier entries first`, (t) => {
    const next = seededRandom(count);
    const offsets = Array.from(
      { length: count },
      () => 1 + Math.floor((next() / 2 ** 32) * spread),
    );
    offsets.push(0);
    const log = logOf(offsets);
    const expected = offsets
      .map((_, i) => i)
      .toSorted((a, b) => (offsets[a] as number) - (offsets[b] as number) || a - b);
    const isSorted = (times: Uint32Array | null): boolean =>
      times !== null && expected.every((was, i) => times[i] === was);
    const isEntry = (place: number, was: number): boolean =>
      log.offsetOf(place) === offsets[was] &&
      log.lengthOf(place) === 1 + (was % 9) &&
      log.moffsetOf(place) === 8 + was &&
      log.tagOf(place) >>> 16 === was % 256;

    const stays = sortLog(log, true);
    t.equal(stays.areMoved, !mayStay, 'as few entries as keys are made of may stay');
    if (mayStay) {
      t.ok(isSorted(stays.times));
      t.ok(
        offsets.every((_, i) => isEntry(i, i)),
        'the entries are where they were',
      );
    }
    const { times, areMoved } = mayStay ? sortLog(log) : stays;
    t.ok(areMoved);
    t.ok(isSorted(times), 'equal offsets keep their order');
    t.ok(
      expected.every((was, i) => isEntry(i, was)),
      'all fields move together',
    );
    t.end();
  });
}
