// Typed arrays that grow, and those that are as narrow as their numbers.
import { test } from 'tap';
import { grown, narrowed } from '../../../daemon/lib/columns.js';

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

await test('a column is as narrow as its largest number', (t) => {
  const largest: [number, number][] = [
    [0, 1],
    [255, 1],
    [256, 2],
    [65_535, 2],
    [65_536, 4],
    [2 ** 32 - 1, 4],
    [2 ** 32, 8],
    [2 ** 53 - 1, 8],
  ];
  for (const [most, bytes] of largest) {
    const column = narrowed(Float64Array.of(0, most, 1, 2 ** 53), 3);
    t.equal(column.BYTES_PER_ELEMENT, bytes);
    t.same([...column], [0, most, 1]);
    t.ok(column.buffer instanceof SharedArrayBuffer);
  }
  t.equal(narrowed(new Uint32Array(4), 0).length, 0);
  t.end();
});
