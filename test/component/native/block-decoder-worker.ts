// A thread that decodes a block with each available codec and ends; started by block-decoder.test.ts.
import { encodeBlock } from '../../support/encode-block.js';
import { CODEC_LZ4, CODEC_ZSTD, codecs } from '../../../daemon/native/block-decoder.js';
import { textBytes } from '../../support/pattern.js';

const plain = textBytes(1, 4096);
for (const [algorithm, codec] of [
  ['lz4', CODEC_LZ4],
  ['zstd', CODEC_ZSTD],
] as const) {
  if (codecs.version(codec) === '') continue;
  const block = encodeBlock(algorithm, plain);
  const bounds = Uint32Array.of(0, block.length);
  for (let i = 0; i < 200; i++) {
    const dst = Buffer.alloc(4096);
    const sizes = [4096, 4096, 4096] as const;
    const bad = codecs.decodeBlocks(codec, block, 0, bounds, 0, 1, dst, 0, ...sizes, 0, 0);
    if (bad !== -1 || !dst.equals(plain)) throw new Error(`${algorithm}: not what went in`);
  }
}
