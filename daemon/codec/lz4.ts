// The portable LZ4 codec, on lz4-napi.

import type * as Lz4 from 'lz4-napi';
import type { PortableCodec } from './batch.js';
import { loadPackage } from './portable-package.js';

/** lz4-napi wants the decoded size, little-endian, in front of the block. */
const SIZE_PREFIX = 4;

export class Lz4Codec implements PortableCodec {
  // Loaded when it is used: mostly the system's library is used instead, and loading an addon takes time.
  readonly #lz4 = loadPackage('lz4-napi', 'liblz4 (Debian: liblz4-1)') as typeof Lz4;

  decode(
    src: Buffer,
    begin: number,
    end: number,
    dst: Uint8Array,
    at: number,
    want: number,
  ): boolean {
    // The prefix overwrites the CRC or tail of the previous block, which has been decoded.
    src.writeUInt32LE(want, begin - SIZE_PREFIX);
    let plain: Buffer;
    try {
      plain = this.#lz4.uncompressSync(src.subarray(begin - SIZE_PREFIX, end));
    } catch {
      return false;
    }
    // An overstated size succeeds silently, so the length that came out is what counts.
    if (plain.length !== want) return false;
    dst.set(plain, at);
    return true;
  }
}
