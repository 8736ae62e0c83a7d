// The batch decoder for systems without liblz4 or libzstd: a package's codec, block by block. The
// codecs themselves are beside it.

import { crc32cVerifyBlocks } from '../native/crc32c.js';
import type { Batch, BatchDecoder, PortableCodec } from './batch.js';

export class PortableDecoder implements BatchDecoder {
  readonly canDecodeBegin = false;
  readonly codecAhead = null;
  readonly #codec: PortableCodec;

  constructor(codec: PortableCodec) {
    this.#codec = codec;
  }

  decode(
    batch: Batch,
    first: number,
    count: number,
    dst: Uint8Array,
    at: number,
    lastSize: number,
  ): number {
    const { src, base, bounds, blockSize, crcSize } = batch;
    // All of them before the first is decoded: decoding spoils bytes in front of a block.
    const badCrc = crcSize === 0 ? -1 : firstBadCrc(batch, first, count);
    const last = first + count - 1;
    let out = at;
    for (let i = first; i <= last; i++) {
      if (i === badCrc) return i;
      const want = i === last ? lastSize : blockSize;
      const begin = base + (bounds[i] as number);
      const end = base + (bounds[i + 1] as number) - crcSize;
      if (!this.#codec.decode(src, begin, end, dst, out, want)) return i;
      out += want;
    }
    return -1;
  }
}

function firstBadCrc(batch: Batch, first: number, count: number): number {
  const { src, base, bounds, crcSeed } = batch;
  const from = first === 0 ? bounds : bounds.subarray(first);
  const bad = crc32cVerifyBlocks(src, base, from, count, crcSeed);
  return bad < 0 ? -1 : first + bad;
}
