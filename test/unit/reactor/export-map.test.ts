// Exports by name, the default export, and exports that a listener hides.
import { test } from 'tap';
import { ExportMap } from '../../../daemon/reactor/export-map.js';
import { FakeExport } from '../nbd/fake-export.js';

const [a, b, c] = ['a', 'b', 'c'].map((name) => new FakeExport(512, name)) as [
  FakeExport,
  FakeExport,
  FakeExport,
];
const names = (map: ExportMap): string[] => [...map.list()].map(({ name }) => name);

await test('exports are found by name, and the only one by the empty name', (t) => {
  const map = new ExportMap([a, b]);
  t.same(names(map), ['a', 'b']);
  t.equal(map.find('b'), b);
  t.equal(map.find('c'), undefined);
  t.equal(map.find(''), undefined);
  t.equal(new ExportMap([a]).find(''), a);
  t.end();
});

await test('a hidden export is treated as if it did not exist', (t) => {
  const map = new ExportMap([a, b, c]);
  const two = map.only(['c', 'a', 'nobody']);
  t.same(names(two), ['a', 'c']);
  t.equal(two.find('a'), a, 'the same object');
  t.equal(two.find('b'), undefined);
  const one = map.only(['b']);
  t.equal(one.find(''), b, 'the only visible export');
  t.equal(one.find('a'), undefined);
  t.same(names(map.only([])), []);
  t.equal(map.only([]).find(''), undefined);
  t.same(names(map), ['a', 'b', 'c'], 'the full map does not change');
  t.end();
});

await test('a failed export is not listed, and its reason is known', (t) => {
  const map = new ExportMap([a, b], [], new Map([['bad', 'BAD_FORMAT']]));
  t.same(names(map), ['a', 'b'], 'clients see only exports that can be served');
  t.equal(map.find('bad'), undefined);
  t.equal(map.failure('bad'), 'BAD_FORMAT');
  t.equal(map.failure('a'), undefined);
  t.equal(map.failure(''), undefined);
  const alone = new ExportMap([a], [], new Map([['bad', 'IO']]));
  t.equal(alone.find(''), undefined, 'the empty name could mean the failed one');
  const only = new ExportMap([], [], new Map([['bad', 'IO']]));
  t.equal(only.failure(''), 'IO', 'the empty name means the only export, which failed');
  t.equal(map.only(['bad']).failure('bad'), 'BAD_FORMAT');
  t.equal(
    map.only(['a']).failure('bad'),
    undefined,
    'a client that may not see it does not learn the reason',
  );
  t.end();
});
