// The tournament tree of hidden entries, compared with a linear search.
import * as fc from 'fast-check';
import { test } from 'tap';
import { HiddenEntries } from '../../../daemon/lsmt/hidden-entries.js';
import { MAX_ENTRY_LENGTH } from '../../../daemon/lsmt/entry-log.js';
import { holds } from '../../support/holds.js';

interface Taken {
  end: number;
  shift: number;
  tag: number;
  time: number;
}

function takeFrom(hidden: HiddenEntries, sector: number): Taken | null {
  const place = hidden.take(sector);
  if (place < 0) return null;
  return {
    end: hidden.endOf(place),
    shift: hidden.shiftOf(place),
    tag: hidden.tagOf(place),
    time: hidden.time,
  };
}

await test('an empty tree returns nothing', (t) => {
  t.equal(takeFrom(new HiddenEntries(), 0), null);
  t.end();
});

await test('the entry written last comes first; entries that have ended never do', (t) => {
  const hidden = new HiddenEntries();
  hidden.add(100, 1, 10, 0);
  hidden.add(200, 2, 20, 2);
  hidden.add(150, -3, 30, 1);
  t.same(takeFrom(hidden, 50), { end: 200, shift: 2, tag: 20, time: 2 });
  t.same(takeFrom(hidden, 120), { end: 150, shift: -3, tag: 30, time: 1 });
  t.equal(takeFrom(hidden, 120), null, 'the entry that ended at 100');
  hidden.add(300, 4, 40, 3);
  t.same(
    takeFrom(hidden, 299),
    { end: 300, shift: 4, tag: 40, time: 3 },
    'it works again after it was empty',
  );
  t.end();
});

await test('of two entries with the same end only the later one counts', (t) => {
  for (const times of [
    [1, 2],
    [2, 1],
  ]) {
    const hidden = new HiddenEntries();
    for (const time of times) hidden.add(500, time, 0, time);
    t.match(takeFrom(hidden, 0), { time: 2, shift: 2 });
    t.equal(takeFrom(hidden, 0), null);
  }
  t.end();
});

await test('same answers as a linear search, also beyond 2^32', async (t) => {
  const step = fc.record({
    advance: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 20_000 })),
    length: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: MAX_ENTRY_LENGTH })),
    isTaken: fc.boolean(),
  });
  await holds(
    t,
    fc.property(
      fc.constantFrom(0, 2 ** 32 - 5, 2 ** 40),
      fc.array(step, { maxLength: 60 }),
      (base, steps) => {
        const hidden = new HiddenEntries();
        let list: Taken[] = [];
        let sector = base;
        for (const [time, { advance, length, isTaken }] of steps.entries()) {
          sector += advance;
          if (isTaken) {
            const alive = list.filter(({ end }) => end > sector);
            const expected = alive.toSorted((a, b) => b.time - a.time)[0] ?? null;
            const got = takeFrom(hidden, sector);
            if (JSON.stringify(got) !== JSON.stringify(expected)) return false;
            list = list.filter((each) => each !== expected && each.end > sector);
          } else {
            const end = sector + length;
            hidden.add(end, time * 3, time, time);
            list = list.filter((each) => each.end !== end);
            list.push({ end, shift: time * 3, tag: time, time });
          }
        }
        return true;
      },
    ),
    { seed: 5, numRuns: 300 },
  );
});
