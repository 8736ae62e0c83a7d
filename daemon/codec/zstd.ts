// The portable zstd codec, on one decompression context of zstd-napi.

import zstd from 'zstd-napi/binding.js';
import type { PortableCodec } from './portable-decoder.js';

export class ZstdCodec implements PortableCodec {
  readonly #context = new zstd.DCtx();

  decode(
    src: Buffer,
    begin: number,
    end: number,
    dst: Uint8Array,
    dstOffset: number,
    want: number,
  ): boolean {
    try {
      const place = dst.subarray(dstOffset, dstOffset + want);
      return this.#context.decompress(place, src.subarray(begin, end)) === want;
    } catch {
      return false;
    }
  }
}
