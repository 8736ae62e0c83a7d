// CRC-32C of ZFile headers, tables and blocks. Conventions of all calls: addon.ts.

import { addon } from './addon.js';

interface Crc32c {
  /**
   * The raw CRC-32C register after these bytes, starting from `seed`, without inversion before or after
   * ("Checksums" in docs/formats.md). `seed` chains calls.
   */
  readonly crc32c: (buffer: Uint8Array, offset: number, length: number, seed: number) => number;
  /**
   * Checks `count` blocks. Block i is bytes [bounds[i], bounds[i + 1]) after `base`; its last four bytes
   * are the little-endian CRC of those before. Returns -1, or the index of the first block that does not
   * match. RangeError if a block is shorter than 4 bytes or outside the buffer.
   */
  readonly crc32cVerifyBlocks: (
    buffer: Uint8Array,
    base: number,
    bounds: Uint32Array,
    count: number,
    seed: number,
  ) => number;
}

export const { crc32c, crc32cVerifyBlocks } = addon['crc32c'] as Crc32c;
