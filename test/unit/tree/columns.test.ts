// Typed arrays that grow.
import { test } from 'tap';
import { grown } from '../../../daemon/tree/columns.js';

await test('an array with the place is returned as it is', (t) => {
  const array = new Uint16Array(4);
  t.equal(grown(array, 3), array);
  t.end();
});

await test('a longer copy has the same type and the same numbers', (t) => {
  const longer = grown(Float64Array.of(1, 2, 3), 100);
  t.ok(longer instanceof Float64Array);
  t.ok(longer.length > 100);
  t.same([...longer.subarray(0, 4)], [1, 2, 3, 0]);
  t.end();
});

await test('an empty array grows', (t) => {
  t.ok(grown(new Uint8Array(0), 0).length > 0);
  t.end();
});
