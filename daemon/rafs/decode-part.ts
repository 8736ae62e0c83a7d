// Decodes a part of a blob that is no chunk: a bootstrap, or compression information.

import type { BatchDecoder } from '../codec/batch.js';
import { decodeLz4 } from '../pieces/lz4-block.js';
import type { PieceCodec } from '../pieces/piece-table.js';
import { decodeFrames, type ZstdDecoders } from '../pieces/zstd-frames.js';

export interface Decoders {
  readonly zstd: ZstdDecoders;
  readonly lz4: BatchDecoder;
}

/**
 * @param plain bytes that are expected, at least one
 * @returns null if it does not decode to as many. @throws Error of zlib
 */
export function decodePart(
  stored: Buffer,
  plain: number,
  codec: PieceCodec,
  { zstd, lz4 }: Decoders,
): Buffer | null {
  switch (codec) {
    case 'stored':
      return stored.length === plain ? stored : null;
    case 'zstd':
      return asBuffer(decodeFrames(stored, plain, zstd));
    case 'lz4':
      return asBuffer(decodeLz4(stored, plain, lz4));
    case 'gzip': {
      const { gunzipSync } = process.getBuiltinModule('node:zlib');
      const bytes = gunzipSync(stored, { maxOutputLength: plain });
      return bytes.length === plain ? bytes : null;
    }
    case 'deflate':
      return null;
  }
}

function asBuffer(bytes: Uint8Array | null): Buffer | null {
  return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
