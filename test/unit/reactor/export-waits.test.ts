// The waits of reads by export: bounded, and added up over reactors.
import t from 'tap';
import { MAX_COUNTED_EXPORTS, OTHER } from '../../../daemon/reactor/export-counters.js';
import { ExportWaits, sumOfWaits } from '../../../daemon/reactor/export-waits.js';

const read = () => ({ since: 0, isRemote: false });

await t.test('only exports with waits are posted, and sums have all reactors', (test) => {
  const [one, two] = [new ExportWaits(), new ExportWaits()];
  one.of('quiet');
  for (const each of [one, two]) {
    const over = read();
    each.of('a').begin(over, true);
    each.of('a').end(over);
    each.of('a').begin(read(), false);
  }
  two.of('b').begin(read(), true);
  test.same(
    one.posted().map((each) => [each.export, each.remote.count, each.local.count, each.parked]),
    [['a', 1, 0, 0]],
  );
  const posted = [...structuredClone(one.posted()), ...structuredClone(two.posted())];
  const sums = sumOfWaits(posted.map((each, i) => ({ ...each, oldestMs: [5, 9, 7][i] ?? 0 })));
  test.same(
    [...sums.values()].map((each) => [each.export, each.remote.count, each.parked, each.oldestMs]),
    [
      ['a', 2, 0, 9],
      ['b', 0, 1, 7],
    ],
  );
  test.end();
});

await t.test('exports above the limit share one name, in a reactor and over all', (test) => {
  const [one, two] = [new ExportWaits(), new ExportWaits()];
  for (let i = 0; i < MAX_COUNTED_EXPORTS + 3; i++) {
    one.of(`a${i}`).begin(read(), true);
    two.of(`b${i}`).begin(read(), true);
  }
  test.equal(one.posted().length, MAX_COUNTED_EXPORTS + 1);
  test.equal(one.posted().find((each) => each.export === OTHER)?.parked, 3);
  const sums = sumOfWaits([...one.posted(), ...two.posted()]);
  test.equal(sums.size, MAX_COUNTED_EXPORTS + 1);
  test.equal(sums.get(OTHER)?.parked, MAX_COUNTED_EXPORTS + 6);
  test.end();
});
