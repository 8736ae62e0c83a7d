// The portable zstd codec, on one decompression context of zstd-napi.

import { createRequire } from 'node:module';
import type zstd from 'zstd-napi/binding.js';
import type { PortableCodec } from './batch.js';

export class ZstdCodec implements PortableCodec {
  readonly #context: zstd.DCtx;

  constructor() {
    // Loaded when it is used, as lz4-napi is.
    const { DCtx } = createRequire(import.meta.url)('zstd-napi/binding.js') as typeof zstd;
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
