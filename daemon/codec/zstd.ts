// The portable zstd codec, on one decompression context of zstd-napi.

import type zstd from 'zstd-napi/binding.js';
import type { PortableCodec } from './batch.js';
import { loadPackage } from './portable-package.js';

export class ZstdCodec implements PortableCodec {
  readonly #context: zstd.DCtx;

  constructor() {
    // Loaded when it is used, as lz4-napi is.
    const { DCtx } = loadPackage(
      'zstd-napi/binding.js',
      'libzstd (Debian: libzstd1)',
    ) as typeof zstd;
    this.#context = new DCtx();
  }

  decode(
    src: Buffer,
    begin: number,
    end: number,
    dst: Uint8Array,
    at: number,
    want: number,
  ): boolean {
    try {
      const place = dst.subarray(at, at + want);
      return this.#context.decompress(place, src.subarray(begin, end)) === want;
    } catch {
      return false;
    }
  }
}
