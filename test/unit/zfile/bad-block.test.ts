// The description of a block that a decoder refused.
import t from 'tap';
import { DECODE_HEADROOM, type Batch } from '../../../daemon/codec/batch.js';
import { describeBadBlock } from '../../../daemon/zfile/bad-block.js';
import { rawCrc32c } from '../../support/crc32c.js';

const SEED = 7;
const block = Buffer.from('not a compressed block');

function batchOf(crc: number | null): Batch {
  const sum = Buffer.alloc(crc === null ? 0 : 4);
  if (crc !== null) sum.writeUInt32LE(crc);
  const first = Buffer.from('another');
  const src = Buffer.concat([Buffer.alloc(DECODE_HEADROOM), first, block, sum]);
  const bounds = Uint32Array.of(0, first.length, first.length + block.length + sum.length);
  const crcSize = sum.length;
  return { src, base: DECODE_HEADROOM, bounds, blockSize: 4096, crcSize, crcSeed: SEED };
}

const good = rawCrc32c(block, SEED);
t.same(describeBadBlock(batchOf((good ^ 1) >>> 0), 1, 4096), {
  code: 'BAD_CHECKSUM',
  expected: `checksum 0x${((good ^ 1) >>> 0).toString(16)}`,
  got: `0x${good.toString(16)}`,
});
for (const crc of [good, null]) {
  t.same(describeBadBlock(batchOf(crc), 1, 100), {
    code: 'BAD_DATA',
    expected: 'data that decodes to 100 bytes',
    got: 'data that does not',
  });
}
