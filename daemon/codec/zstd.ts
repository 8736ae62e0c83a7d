// The portable zstd codec, on one decompression context of zstd-napi.

import type zstd from 'zstd-napi/binding.js';
import type { PortableCodec } from './batch.js';
import { loadPackage } from './portable-package.js';

/** Loads the package when it is used, as lz4-napi is. */
function newContext(): zstd.DCtx {
  const { DCtx } = loadPackage('zstd-napi/binding.js', 'libzstd (Debian: libzstd1)') as typeof zstd;
  return new DCtx();
}

export class ZstdCodec implements PortableCodec {
  readonly #context = newContext();

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

/** Decodes the beginning of frames. */
export class ZstdBegin {
  decode(src: Uint8Array, dst: Uint8Array): number {
    // Not kept: a frame may demand a window of 128 MiB.
    const context = newContext();
    let read = 0;
    let written = 0;
    try {
      while (written < dst.length) {
        const [, more, used] = context.decompressStream(dst.subarray(written), src.subarray(read));
        if (more === 0 && used === 0) break;
        written += more;
        read += used;
      }
    } catch {
      return -1;
    }
    return written;
  }
}
