// A map with a bound.
import { test } from 'tap';
import { Lru } from '../../../../daemon/registry/http/lru.js';

await test('what was used least recently goes', (t) => {
  const map = new Lru<string, number>(2);
  t.equal(map.set('a', 1), undefined);
  map.set('b', 2);
  t.equal(map.get('a'), 1);
  t.equal(map.set('c', 3), 2);
  t.equal(map.get('b'), undefined);
  t.same([...map.values()], [1, 3]);
  t.equal(map.set('a', 4), undefined, 'no new key');
  t.same(
    [...map.entries()],
    [
      ['c', 3],
      ['a', 4],
    ],
  );
  map.delete('c');
  t.equal(map.size, 1);
  map.clear();
  t.equal(map.size, 0);
  t.end();
});
