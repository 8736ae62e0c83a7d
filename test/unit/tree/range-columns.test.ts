// Ranges of data in columns, and which of them become one.
import { test } from 'tap';
import { RangeColumns } from '../../../daemon/tree/range-columns.js';

await test('a range that continues the last one of its file is joined to it', (t) => {
  const ranges = new RangeColumns();
  const range = { fileOffset: 0, length: 512, source: 2, offset: 1024 };
  ranges.push(range, 0);
  ranges.push({ ...range, fileOffset: 512, offset: 1536 }, 0);
  t.match(ranges, { count: 1, sourceCount: 3 });
  t.equal(ranges.lengths[0], 1024);
  const next = { ...range, fileOffset: 1024, offset: 2048 };
  for (const other of [{ source: 1 }, { fileOffset: 1536 }, { offset: 2560 }]) {
    ranges.push({ ...next, ...other }, 0);
  }
  t.equal(ranges.count, 4, 'another source, a hole in the file, or another place');
  t.end();
});

await test('ranges of two files are never joined', (t) => {
  const ranges = new RangeColumns();
  ranges.push({ fileOffset: 0, length: 512, source: 0, offset: 0 }, 0);
  ranges.push({ fileOffset: 512, length: 512, source: 0, offset: 512 }, 1);
  t.equal(ranges.count, 2);
  t.same([...ranges.offsets.subarray(0, 2)], [0, 512]);
  t.end();
});

await test('the columns grow', (t) => {
  const ranges = new RangeColumns();
  for (let i = 0; i < 1000; i++) {
    t.ok(ranges.push({ fileOffset: 0, length: 512, source: 0, offset: 1024 * i }, i));
  }
  t.equal(ranges.offsets[999], 1024 * 999);
  t.end();
});
