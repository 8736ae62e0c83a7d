// The algorithms by their numbers in a ZFile.
import { test } from 'tap';
import { algorithmFromNumber } from '../../../daemon/codec/algorithm.js';

await test('algorithms are found by their number', async (t) => {
  t.equal(algorithmFromNumber(1), 'lz4');
  t.equal(algorithmFromNumber(2), 'zstd');
  t.equal(algorithmFromNumber(0), undefined);
  t.equal(algorithmFromNumber(3), undefined);
});
