// The geometry of a ZFile of which only the jump table exists.
import { Blocks } from '../../../daemon/zfile/blocks.js';
import { JumpTableBuilder } from '../../../daemon/zfile/jump-table.js';

/** @param lengths of the stored blocks; the last block has 100 plain bytes */
export function blocksOf(lengths: readonly number[], blockSize: number, verify = true): Blocks {
  const builder = new JumpTableBuilder({
    blob: 'x',
    count: lengths.length,
    blockSize,
    verify,
    dictSize: 0,
    indexOffset: 2 ** 40,
  });
  const words = Buffer.alloc(4 * lengths.length);
  lengths.forEach((length, i) => words.writeUInt32LE(length, 4 * i));
  builder.push(words, lengths.length);
  const table = builder.finish().data;
  const originalSize = (lengths.length - 1) * blockSize + 100;
  return new Blocks({ name: 'x', algorithm: 'lz4', blockSize, originalSize, verify, table });
}
