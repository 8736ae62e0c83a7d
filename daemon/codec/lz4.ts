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

  /** Decodes a block on a thread of Node's pool. @returns the bytes written to `dst`; -1 if it is not valid */
  async decodeInPool(src: Uint8Array, dst: Uint8Array): Promise<number> {
    const prefixed = Buffer.allocUnsafe(SIZE_PREFIX + src.length);
    prefixed.writeUInt32LE(dst.length, 0);
    prefixed.set(src, SIZE_PREFIX);
    const plain = await this.#lz4.uncompress(prefixed).catch(() => null);
    if (!plain || plain.length > dst.length) return -1;
    dst.set(plain);
    return plain.length;
  }
}
