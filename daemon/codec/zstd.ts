// The portable zstd batch decoder, on one decompression context of zstd-napi.

import zstd from 'zstd-napi/binding.js';
import type { Batch, BatchDecoder } from './decoder.js';

export class ZstdDecoder implements BatchDecoder {
  readonly #context = new zstd.DCtx();

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
      try {
        const got = this.#context.decompress(
          dst.subarray(out, out + want),
          src.subarray(begin, end),
        );
        if (got !== want) return i;
      } catch {
        return i;
      }
      out += want;
    }
    return -1;
  }
}
