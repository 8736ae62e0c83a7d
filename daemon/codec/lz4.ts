// The portable LZ4 batch decoder, on lz4-napi.

import { uncompressSync } from 'lz4-napi';
import type { Batch, BatchDecoder } from './decoder.js';

/** lz4-napi wants the decoded size, little-endian, in front of the block. */
const SIZE_PREFIX = 4;

export class Lz4Decoder implements BatchDecoder {
  decode(
    batch: Batch,
    first: number,
    count: number,
    dst: Uint8Array,
    dstOffset: number,
    blockSize: number,
    lastSize: number,
  ): number {
    const { src, base, bounds, trailerSize } = batch;
    const last = first + count - 1;
    let out = dstOffset;
    for (let i = first; i <= last; i++) {
      const want = i === last ? lastSize : blockSize;
      const begin = base + (bounds[i] as number);
      const end = base + (bounds[i + 1] as number) - trailerSize;
      // The prefix goes over the previous block's CRC or tail, which nobody needs any more.
      src.writeUInt32LE(want, begin - SIZE_PREFIX);
      let plain: Buffer;
      try {
        plain = uncompressSync(src.subarray(begin - SIZE_PREFIX, end));
      } catch {
        return i;
      }
      // An overstated size succeeds silently, so the length that came out is what counts.
      if (plain.length !== want) return i;
      dst.set(plain, out);
      out += want;
    }
    return -1;
  }
}
