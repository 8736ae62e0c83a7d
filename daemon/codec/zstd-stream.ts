// Decodes zstd frames in steps: with the library of the system, or else with the package.

import type zstd from 'zstd-napi/binding.js';
import { OverlaybdError } from '../errors.js';
import { ZSTD_BAD_DATA, ZSTD_FRAME_END, zstdStreams } from '../native/zstd-stream.js';
import { loadPackage } from './portable-package.js';

export interface ZstdStep {
  /** Bytes of the source that are not needed again. */
  readonly consumed: number;
  /** Bytes that were written. */
  readonly produced: number;
  /** Whether a frame has ended there; the next step begins the next one. */
  readonly isFrameEnd: boolean;
}

/** Takes up to 128 MiB of memory, the longest window of a frame. */
export interface ZstdStream {
  /**
   * Decodes until `src` ends, `dst` is full or a frame ends.
   * @returns null if the source is not valid; then the stream cannot be used again
   */
  step(src: Buffer, dst: Buffer): ZstdStep | null;
  close(): void;
}

/** @internal use createZstdStream() */
export class NativeZstdStream implements ZstdStream {
  readonly #number: number;
  readonly #progress = new Int32Array(2);

  /** @throws OverlaybdError UNSUPPORTED without the library */
  constructor() {
    this.#number = zstdStreams.open();
    if (this.#number < 0) throw new OverlaybdError('UNSUPPORTED', 'libzstd cannot be used');
  }

  step(src: Buffer, dst: Buffer): ZstdStep | null {
    const progress = this.#progress;
    const stop = zstdStreams.run(this.#number, src, 0, src.length, dst, 0, dst.length, progress);
    if (stop < 0 || stop === ZSTD_BAD_DATA) return null;
    const [consumed = 0, produced = 0] = progress;
    return { consumed, produced, isFrameEnd: stop === ZSTD_FRAME_END };
  }

  close(): void {
    zstdStreams.close(this.#number);
  }
}

/** @internal use createZstdStream() */
export class PortableZstdStream implements ZstdStream {
  readonly #context: zstd.DCtx;

  /** @throws OverlaybdError UNSUPPORTED without the package */
  constructor() {
    const { DCtx } = loadPackage(
      'zstd-napi/binding.js',
      'libzstd (Debian: libzstd1)',
    ) as typeof zstd;
    this.#context = new DCtx();
  }

  step(src: Buffer, dst: Buffer): ZstdStep | null {
    let consumed = 0;
    let produced = 0;
    try {
      for (;;) {
        const [hint, more, used] = this.#context.decompressStream(
          dst.subarray(produced),
          src.subarray(consumed),
        );
        consumed += used;
        produced += more;
        if (hint === 0) return { consumed, produced, isFrameEnd: true };
        if (used === 0 && more === 0) return { consumed, produced, isFrameEnd: false };
      }
    } catch {
      return null;
    }
  }

  close(): void {
    // Its memory goes with the object.
  }
}
