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

/** Plain bytes between two turns of other work: some milliseconds. */
const STEP = 1 << 20;

/** Decodes the beginning of frames. */
export class ZstdBegin {
  decode(src: Uint8Array, dst: Uint8Array): number {
    const decoding = new ZstdStream(src, dst);
    while (decoding.step(dst.length));
    return decoding.result;
  }

  /** @param turn lets the thread do other work */
  async decodeInSteps(
    src: Uint8Array,
    dst: Uint8Array,
    turn: () => Promise<void>,
  ): Promise<number> {
    const decoding = new ZstdStream(src, dst);
    while (decoding.step(STEP)) await turn();
    return decoding.result;
  }
}

/** One decoding. Its context is not kept: a frame may demand a window of 128 MiB. */
class ZstdStream {
  readonly #context = newContext();
  readonly #src: Uint8Array;
  readonly #dst: Uint8Array;
  #read = 0;
  #written = 0;

  constructor(src: Uint8Array, dst: Uint8Array) {
    this.#src = src;
    this.#dst = dst;
  }

  /** The bytes that were written; -1 if the source is not valid. */
  get result(): number {
    return this.#written;
  }

  /** Decodes at most `most` bytes. @returns false at the end */
  step(most: number): boolean {
    const dst = this.#dst.subarray(this.#written, this.#written + most);
    if (dst.length === 0) return false;
    try {
      const [, more, used] = this.#context.decompressStream(dst, this.#src.subarray(this.#read));
      this.#written += more;
      this.#read += used;
      return more > 0 || used > 0;
    } catch {
      this.#written = -1;
      return false;
    }
  }
}
