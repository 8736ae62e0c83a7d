// Tells what is wrong with a stored block that a decoder has refused. It reads nothing itself.

import type { Batch } from '../codec/batch.js';
import { crc32c } from '../native/crc32c.js';

export interface BadBlock {
  readonly code: 'BAD_CHECKSUM' | 'BAD_DATA';
  readonly expected: string;
  readonly got: string;
}

/**
 * @param index of the block in the batch, in which its stored bytes still are
 * @param size the plain bytes that it should have given
 */
export function describeBadBlock(batch: Batch, index: number, size: number): BadBlock {
  const { src, base, bounds, crcSize, crcSeed } = batch;
  if (crcSize > 0) {
    const begin = base + (bounds[index] as number);
    const crcAt = base + (bounds[index + 1] as number) - crcSize;
    const expected = src.readUInt32LE(crcAt);
    const got = crc32c(src, begin, crcAt - begin, crcSeed);
    if (expected !== got) {
      return {
        code: 'BAD_CHECKSUM',
        expected: `checksum 0x${expected.toString(16)}`,
        got: `0x${got.toString(16)}`,
      };
    }
  }
  return {
    code: 'BAD_DATA',
    expected: `data that decodes to ${size} bytes`,
    got: 'data that does not',
  };
}
