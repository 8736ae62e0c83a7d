// The batch decoder on the system's liblz4 or libzstd: one call into the addon for a whole run.

import { codecs } from '../native/block-decoder.js';
import type { Batch, BatchDecoder } from './batch.js';

export class NativeDecoder implements BatchDecoder {
  readonly canDecodeBegin: boolean;
  readonly codecAhead: number;
  readonly #codec: number;

  /** @param codec CODEC_LZ4 or CODEC_ZSTD, whose library is there */
  constructor(codec: number) {
    this.#codec = codec;
    this.codecAhead = codec;
    this.canDecodeBegin = codecs.canDecodeBegin(codec);
  }

  decode(
    batch: Batch,
    first: number,
    count: number,
    dst: Uint8Array,
    at: number,
    lastSize: number,
    lastWanted: number,
  ): number {
    return codecs.decodeBlocks(
      this.#codec,
      batch.src,
      batch.base,
      batch.bounds,
      first,
      count,
      dst,
      at,
      batch.blockSize,
      lastSize,
      lastWanted,
      batch.crcSize,
      batch.crcSeed,
    );
  }
}
