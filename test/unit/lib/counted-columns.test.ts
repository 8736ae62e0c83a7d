// The memory of columns is announced before it is allocated, and what is free again is given back.
import { test } from 'tap';
import { CountedColumns } from '../../../daemon/lib/counted-columns.js';

await test('what is too much is refused before it is allocated', (t) => {
  let kept = 0;
  let most = 0;
  const columns = new CountedColumns('blob', {
    keep: (bytes, blob) => {
      t.equal(blob, 'blob');
      kept += bytes;
      most = Math.max(most, kept);
      if (kept > 3000) throw new Error('too much');
    },
  });
  let column: Uint32Array = new Uint32Array(64);
  t.equal(columns.grown(column, 63), column);
  t.equal(kept, 0);
  column = columns.grown(column, 64);
  t.equal(column.length, 128);
  t.equal(most, 4 * 128, 'both were there');
  column = columns.grown(column, 128);
  t.equal(most, 4 * 64 + 4 * 256, 'all but the first 64 numbers');
  t.throws(() => columns.grown(column, 1000), /too much/);
  t.equal(column.length, 256);
  columns.take(-8000);
  t.same([...columns.sharedCopy(column, 3)], [0, 0, 0]);
  columns.finish(700);
  t.equal(kept, 700, 'only the table is left');
  t.end();
});
