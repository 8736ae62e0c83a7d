// The places of blocks: in the plain bytes, and in the file.
import t from 'tap';
import { blocksOf } from './some-blocks.js';

await t.test('block numbers, sizes and places', (test) => {
  const blocks = blocksOf([100, 200, 300], 4096);
  test.same(
    [0, 4095, 4096, 8192 + 99].map((at) => blocks.blockOf(at)),
    [0, 0, 1, 2],
  );
  test.same(
    [0, 1, 2].map((i) => blocks.sizeOf(i)),
    [4096, 4096, 100],
  );
  test.same(
    [0, 1, 2].map((i) => blocks.beginOf(i)),
    [0, 4096, 8192],
  );
  test.same(
    [0, 1, 2].map((i) => blocks.endOf(i)),
    [4096, 8192, 8292],
  );
  test.same(
    [0, 1, 2, 3].map((i) => blocks.storedAt(i)),
    [512, 612, 812, 1112],
  );
  test.equal(blocks.blockOf(2 ** 44 + 4096), 2 ** 32 + 1, 'more than 32 bits');
  test.end();
});
