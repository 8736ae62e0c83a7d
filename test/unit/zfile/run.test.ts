// Which stored blocks one read takes: only wanted ones, no more than fit, and at least one.
import t from 'tap';
import { Run } from '../../../daemon/zfile/run.js';
import { blocksOf } from './some-blocks.js';

const HEADER = 512;

await t.test('a run has the wanted blocks and no others', (test) => {
  const run = new Run();
  const blocks = blocksOf([100, 200, 300, 400], 4096);
  run.plan(blocks, 1, 3);
  test.match(run, { first: 1, count: 2, begin: HEADER + 100, stored: 500 });
  test.same([...run.batch.bounds.subarray(0, 3)], [0, 200, 500]);
  test.match(run.batch, { blockSize: 4096, crcSize: 4 });
  run.plan(blocks, 0, 4);
  test.match(run, { first: 0, count: 4, begin: HEADER, stored: 1000 });
  run.plan(blocks, 3, 3);
  test.match(run, { count: 0, stored: 0 }, 'an empty run for an empty range');
  run.plan(blocksOf([100, 200], 65_536, false), 1, 2);
  test.match(run.batch, { blockSize: 65_536, crcSize: 0 }, 'the settings of another file');
  test.end();
});

await t.test('a run has at most 256 blocks and 256 KiB of stored bytes', (test) => {
  const run = new Run();
  run.plan(
    blocksOf(
      Array.from({ length: 300 }, () => 10),
      4096,
    ),
    0,
    300,
  );
  test.equal(run.count, 256);
  const large = Array.from({ length: 8 }, () => 65_536);
  run.plan(blocksOf(large, 65_536), 0, 8);
  test.match(run, { count: 4, stored: 256 * 1024 });
  run.plan(blocksOf([65_537, ...large], 65_536), 0, 9);
  test.match(run, { count: 3 });
  test.ok(run.batch.base + run.stored <= run.batch.src.length);
  test.end();
});
