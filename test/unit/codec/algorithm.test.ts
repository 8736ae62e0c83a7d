// The algorithms by the numbers that a ZFile has for them.
import { test } from 'tap';
import { algorithmFromNumber } from '../../../daemon/codec/algorithm.js';

await test('the algorithm with a number', async (t) => {
  t.equal(algorithmFromNumber(1), 'lz4');
  t.equal(algorithmFromNumber(2), 'zstd');
  t.equal(algorithmFromNumber(0), undefined);
  t.equal(algorithmFromNumber(3), undefined);
});
