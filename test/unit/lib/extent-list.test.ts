// The reusable list of extents: joining, its capacity, and nothing left over from the query before.
import { test } from 'tap';
import {
  EXTENT_DATA,
  EXTENT_HOLE,
  EXTENT_ZEROED,
  ExtentList,
  NO_LAYER,
} from '../../../daemon/lib/extent-list.js';

const rowsOf = (list: ExtentList): number[][] =>
  Array.from({ length: list.count }, (_, i) =>
    [list.lengths, list.kinds, list.layers, list.hints].map((array) => array[i] as number),
  );

await test('extents of the same kind and layer become one, which keeps the first hint', (t) => {
  const list = new ExtentList(8);
  t.ok(list.push(512, EXTENT_DATA, 3, 7));
  t.ok(list.push(1024, EXTENT_DATA, 3, 8));
  t.ok(list.push(512, EXTENT_DATA, 4, 9), 'another layer');
  t.ok(list.push(512, EXTENT_ZEROED, 4, 10), 'another kind');
  t.ok(list.push(2 ** 40, EXTENT_HOLE, NO_LAYER));
  t.ok(list.push(2 ** 40, EXTENT_HOLE, NO_LAYER));
  t.same(rowsOf(list), [
    [1536, EXTENT_DATA, 3, 7],
    [512, EXTENT_DATA, 4, 9],
    [512, EXTENT_ZEROED, 4, 10],
    [2 ** 41, EXTENT_HOLE, NO_LAYER, 0],
  ]);
  t.end();
});

await test('a full list still extends its last extent, and takes no other', (t) => {
  const list = new ExtentList(2);
  list.push(1, EXTENT_DATA, 0);
  t.ok(list.push(1, EXTENT_HOLE, NO_LAYER));
  t.notOk(list.push(1, EXTENT_DATA, 0));
  t.ok(list.push(4, EXTENT_HOLE, NO_LAYER));
  t.same(rowsOf(list), [
    [1, EXTENT_DATA, 0, 0],
    [5, EXTENT_HOLE, NO_LAYER, 0],
  ]);
  t.end();
});

await test('a cleared list does not extend what it held', (t) => {
  const list = new ExtentList(2);
  list.push(1, EXTENT_DATA, 0, 5);
  list.clear();
  t.equal(list.count, 0);
  t.ok(list.push(2, EXTENT_DATA, 0, 6));
  t.same(rowsOf(list), [[2, EXTENT_DATA, 0, 6]]);
  t.end();
});
