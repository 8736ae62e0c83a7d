// Decoding of ZFile blocks with the system's liblz4 and libzstd. Conventions of all calls: addon.ts.

import { addon } from './addon.js';

/** Codecs of `decodeBlocks`; the numbers are the addon's own. */
export const CODEC_LZ4 = 0;
export const CODEC_ZSTD = 1;

interface Codecs {
  /**
   * The version of the system's library for a codec; '' if there is no such library. The library is
   * looked up once.
   */
  version(codec: number): string;
  /** Whether `decodeBlocks` may be asked for the beginning of a last block. */
  canDecodeBegin(codec: number): boolean;
  /**
   * Checks and decodes blocks [first, first + count) of `src`, at least one. Positional, because every
   * read of compressed data calls it, and an object would cost an allocation or seven property reads.
   *
   * @param base where block 0 begins in `src`
   * @param bounds block i is bytes [bounds[i], bounds[i + 1]) after `base`, its CRC included
   * @param dst receives the plain bytes from `dstOffset` on, one block after another: `blockSize` bytes
   *   of each, `lastWanted` of the last
   * @param lastSize plain bytes of the last block
   * @param lastWanted the bytes of it that are decoded; what follows them in the block is then covered
   *   by its CRC only. Fewer than `lastSize` only if {@link canDecodeBegin}
   * @param crcSize how many bytes at the end of each block are the little-endian CRC of those before it:
   *   4 or 0
   * @param seed the CRC register's start
   * @returns -1, or the index of the first block whose CRC is wrong or that does not decode to its size;
   *   the bytes of `dst` from that block on are then undefined
   * @throws RangeError if a block up to that one is outside `src` or shorter than its CRC, or if `dst` is
   *   too small; Error if the system has no library for the codec
   */
  decodeBlocks(
    codec: number,
    src: Uint8Array,
    base: number,
    bounds: Uint32Array,
    first: number,
    count: number,
    dst: Uint8Array,
    dstOffset: number,
    blockSize: number,
    lastSize: number,
    lastWanted: number,
    crcSize: number,
    seed: number,
  ): number;

  /**
   * Decodes zstd frames until `dst` is full or `src` ends. `src` may end in a frame, and have more than is wanted.
   * @returns the bytes written to `dst`; -1 if `src` is not valid, or the system has no library or no memory
   */
  decodeZstdBegin(src: Uint8Array, dst: Uint8Array): number;

  /**
   * Decodes all of `src` on a thread of Node's pool, from a copy: `src` may change or go meanwhile.
   * @param length plain bytes, from 1 to 2^30
   * @param hasMore 1 if `src` may have more than `length` bytes, or end in a frame: as decodeZstdBegin; zstd only
   * @returns the plain bytes; null if they are not `length`, if `src` is not valid, or if the system has no library
   * @throws Error if there is no memory, also for the result
   */
  decodeElsewhere(
    codec: number,
    src: Uint8Array,
    length: number,
    hasMore: 0 | 1,
  ): Promise<Uint8Array | null>;
}

export const codecs = addon['codecs'] as Codecs;
