// The interface of batch decoders and the one place that picks an implementation. Decoders know
// blocks, not files; CRCs are checked before they are called.

import type { Algorithm } from './algorithm.js';
import { Lz4Decoder } from './lz4.js';
import { ZstdDecoder } from './zstd.js';

/** A decoder may overwrite this many bytes in front of each block that it decodes. */
export const DECODE_HEADROOM = 4;

/** A run of stored blocks that lie one behind the other. Reused for every run of a thread. */
export interface Batch {
  /** The stored bytes, with {@link DECODE_HEADROOM} bytes that may be overwritten in front. */
  src: Buffer;
  /** Where the first block begins in `src`. */
  base: number;
  /** Offsets from `base`: block i is [bounds[i], bounds[i + 1] - trailerSize). */
  bounds: Uint32Array;
  /** Bytes behind each block that are not part of it (its CRC). */
  trailerSize: number;
}

export interface BatchDecoder {
  /**
   * Decodes blocks [first, first + count) of a batch to `dst` one behind the other. Every block
   * must give `blockSize` bytes, the last one `lastSize`.
   * @returns the index of the first block that does not, or -1 when all did
   */
  decode(
    batch: Batch,
    first: number,
    count: number,
    dst: Uint8Array,
    dstOffset: number,
    blockSize: number,
    lastSize: number,
  ): number;
}

/** A decoder for one thread: it keeps state and scratch memory between calls. */
export function createDecoder(algorithm: Algorithm): BatchDecoder {
  switch (algorithm) {
    case 'lz4':
      return new Lz4Decoder();
    case 'zstd':
      return new ZstdDecoder();
  }
}
