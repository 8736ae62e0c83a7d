import { test } from 'tap';
import { FirstPlaces } from '../../../../daemon/files/copy/first-places.js';
import { inodeNumber } from '../../../../daemon/files/inode-number.js';

await test('the first name of a file, from any folder', (t) => {
  const places = new FirstPlaces();
  t.equal(places.before(7, 'x'), null);
  places.enter('a');
  places.enter('b');
  places.add(7, 'x');
  t.equal(places.before(7, 'x'), null, 'it is this one');
  t.same(places.before(7, 'y'), ['a', 'b', 'x']);
  places.leave();
  t.same(places.before(7, 'x'), ['a', 'b', 'x']);
  places.leave();
  places.leave();
  t.same(places.before(7, 'x'), ['a', 'b', 'x']);
  t.equal(places.before(8, 'x'), null);
  t.end();
});

await test('numbers of 64 bits that differ in their last bits', (t) => {
  const places = new FirstPlaces();
  const [one, other, same] = [5n, 6n, 5n].map((bits) => inodeNumber((1n << 63n) + bits));
  places.add(one as bigint, 'x');
  t.equal(places.before(other as bigint, 'y'), null);
  t.same(places.before(same as bigint, 'y'), ['x']);
  t.equal(inodeNumber(-7n), 2n ** 64n - 7n, 'Node gives signed ones');
  t.equal(inodeNumber(7n), 7, 'usual ones take no more memory than before');
  t.end();
});

await test('a place that another file gets is forgotten', (t) => {
  const places = new FirstPlaces();
  places.enter('a');
  places.add(7, 'x');
  places.add(8, 'y');
  places.leave();
  places.forget('a');
  places.forget('none');
  places.enter('a');
  places.forget('x');
  places.leave();
  t.equal(places.before(7, 'z'), null);
  t.same(places.before(8, 'z'), ['a', 'y']);
  places.enter('a');
  places.forget('y');
  places.add(7, 'y');
  places.leave();
  t.equal(places.before(8, 'z'), null);
  t.same(places.before(7, 'z'), ['a', 'y']);
  t.end();
});

await test('files at the bottom of deep folders cost the same as those at the top', (t) => {
  const places = new FirstPlaces();
  for (let depth = 0; depth < 2000; depth++) places.enter(`folder-${depth}`);
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 100_000; i++) places.add(i, `${i}`);
  const used = process.memoryUsage().heapUsed - before;
  // An array of the names alone takes 16 kB a file: 1.6 GB.
  t.ok(used < 200_000_000, `${used} bytes`);
  t.equal(places.before(99_999, '0')?.length, 2001);
  t.end();
});
