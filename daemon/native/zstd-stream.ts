// Decoding of zstd frames in steps, with the system's libzstd. Conventions of all calls: addon.ts.

import { addon } from './addon.js';

/** Why `run` has stopped. */
export const ZSTD_MORE = 0;
export const ZSTD_FRAME_END = 1;
export const ZSTD_BAD_DATA = 2;

interface ZstdStreams {
  /** @returns its number; -ENOSYS if the system has no library, or if there is no memory */
  open(): number;
  /**
   * Decodes `length` bytes of `src` from `offset` on into `dst`: until the input ends, the output is full or the frame ends.
   * After the end of a frame it begins with the next one.
   * @param progress receives the bytes that were consumed and those that were produced
   * @returns ZSTD_MORE and so on; after ZSTD_BAD_DATA the stream can only be closed; -EBADF: there is no such stream
   */
  run(
    stream: number,
    src: Uint8Array,
    offset: number,
    length: number,
    dst: Uint8Array,
    dstOffset: number,
    dstLength: number,
    progress: Int32Array,
  ): number;
  close(stream: number): number;
}

export const zstdStreams = addon['zstdStreams'] as ZstdStreams;
