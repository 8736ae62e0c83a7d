// The portable LZ4 codec, on lz4-napi.

import { uncompressSync } from 'lz4-napi';
import type { PortableCodec } from './portable-decoder.js';

/** lz4-napi wants the decoded size, little-endian, in front of the block. */
const SIZE_PREFIX = 4;

export class Lz4Codec implements PortableCodec {
  decode(
    src: Buffer,
    begin: number,
    end: number,
    dst: Uint8Array,
    dstOffset: number,
    want: number,
  ): boolean {
    // The prefix goes over the previous block's CRC or tail, which nobody needs any more.
    src.writeUInt32LE(want, begin - SIZE_PREFIX);
    let plain: Buffer;
    try {
      plain = uncompressSync(src.subarray(begin - SIZE_PREFIX, end));
    } catch {
      return false;
    }
    // An overstated size succeeds silently, so the length that came out is what counts.
    if (plain.length !== want) return false;
    dst.set(plain, dstOffset);
    return true;
  }
}
