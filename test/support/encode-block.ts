// Compresses one block the way a ZFile stores it, without the CRC that may follow the block.
import { compressSync } from 'lz4-napi';
import zstd from 'zstd-napi/binding.js';
import type { Algorithm } from '../../daemon/codec/algorithm.js';

/** The level that every known ZFile writer uses, although the header's `level` byte stays 0. */
const ZSTD_LEVEL = 3;

/** lz4-napi writes the uncompressed size (u32, little-endian) before the raw block. */
const LZ4_PREFIX = 4;

// One context for each thread: its setup costs more than compressing a block. Compression is synchronous, so calls
// cannot interleave.
let zstdContext: InstanceType<typeof zstd.CCtx> | undefined;

/**
 * Compresses `src` (at least one byte) to one raw LZ4 block or one zstd frame. There is no stored form:
 * incompressible input comes out longer than it went in. The result is the caller's to keep.
 */
export function encodeBlock(algorithm: Algorithm, src: Uint8Array): Buffer {
  if (src.length === 0)
    throw new RangeError(`${algorithm} block: empty, a block has at least 1 byte`);
  return algorithm === 'lz4' ? encodeLz4(src) : encodeZstd(src);
}

function encodeLz4(src: Uint8Array): Buffer {
  const view = Buffer.from(src.buffer, src.byteOffset, src.byteLength);
  return compressSync(view).subarray(LZ4_PREFIX);
}

function encodeZstd(src: Uint8Array): Buffer {
  zstdContext ??= new zstd.CCtx();
  const dst = Buffer.allocUnsafe(zstd.compressBound(src.length));
  return dst.subarray(0, zstdContext.compress(dst, src, ZSTD_LEVEL));
}
