// Exports by name, the default one, and what a listener hides.
import { test } from 'tap';
import { ExportMap } from '../../../daemon/reactor/export-map.js';
import { FakeExport } from '../nbd/fake-export.js';

const [a, b, c] = ['a', 'b', 'c'].map((name) => new FakeExport(512, name)) as [
  FakeExport,
  FakeExport,
  FakeExport,
];
const names = (map: ExportMap): string[] => [...map.list()].map(({ name }) => name);

await test('by name, and the only one by no name', (t) => {
  const map = new ExportMap([a, b]);
  t.same(names(map), ['a', 'b']);
  t.equal(map.find('b'), b);
  t.equal(map.find('c'), undefined);
  t.equal(map.find(''), undefined);
  t.equal(new ExportMap([a]).find(''), a);
  t.end();
});

await test('what is hidden is as if it did not exist', (t) => {
  const map = new ExportMap([a, b, c]);
  const two = map.only(['c', 'a', 'nobody']);
  t.same(names(two), ['a', 'c']);
  t.equal(two.find('a'), a, 'the same object');
  t.equal(two.find('b'), undefined);
  const one = map.only(['b']);
  t.equal(one.find(''), b, 'the only one that can be seen');
  t.equal(one.find('a'), undefined);
  t.same(names(map.only([])), []);
  t.equal(map.only([]).find(''), undefined);
  t.same(names(map), ['a', 'b', 'c'], 'the map itself is not changed');
  t.end();
});

await test('what is failed is not there, but it counts, and its reason is known', (t) => {
  const map = new ExportMap([a, b], [], new Map([['bad', 'BAD_FORMAT']]));
  t.same(names(map), ['a', 'b'], 'clients are shown what they can have');
  t.equal(map.find('bad'), undefined);
  t.equal(map.failure('bad'), 'BAD_FORMAT');
  t.equal(map.failure('a'), undefined);
  t.equal(map.failure(''), undefined);
  const alone = new ExportMap([a], [], new Map([['bad', 'IO']]));
  t.equal(alone.find(''), undefined, 'another is meant to be there');
  const only = new ExportMap([], [], new Map([['bad', 'IO']]));
  t.equal(only.failure(''), 'IO', 'the only one, by no name');
  t.equal(map.only(['bad']).failure('bad'), 'BAD_FORMAT');
  t.equal(map.only(['a']).failure('bad'), undefined, 'who may not see it is not told');
  t.end();
});
