// Compresses one block the way a ZFile stores it, without the CRC that may follow the block.
import { compressSync } from 'lz4-napi';
import zstd from 'zstd-napi/binding.js';
import type { Algorithm } from '../../daemon/codec/algorithm.js';

/** The level every ZFile writer in the field uses; the header's `level` byte stays 0 all the same. */
const ZSTD_LEVEL = 3;

/** lz4-napi puts the uncompressed size (u32, little-endian) in front of the raw block. */
const LZ4_PREFIX = 4;

// One context a thread: setting one up costs more than compressing a block. Compression is synchronous, so
// nothing can interleave on it.
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
