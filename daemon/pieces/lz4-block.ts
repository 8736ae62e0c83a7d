// Decodes one LZ4 block, without a frame around it, to a known number of bytes.

import { DECODE_HEADROOM, type BatchDecoder } from '../codec/batch.js';
import { decodeElsewhere } from '../codec/decoder.js';

/** @returns null if it does not decode to exactly `wanted` bytes */
export function decodeLz4(
  stored: Uint8Array,
  wanted: number,
  decoder: BatchDecoder,
): Uint8Array | null {
  const dst = Buffer.allocUnsafeSlow(wanted);
  // The decoder may write in front of the bytes.
  const src = Buffer.allocUnsafeSlow(DECODE_HEADROOM + stored.length);
  src.set(stored, DECODE_HEADROOM);
  const batch = {
    src,
    base: DECODE_HEADROOM,
    bounds: Uint32Array.of(0, stored.length),
    blockSize: wanted,
    crcSize: 0,
    crcSeed: 0,
  };
  return decoder.decode(batch, 0, 1, dst, 0, wanted, wanted) < 0 ? dst : null;
}

/** The same while the thread does other work. */
export function decodeLz4Elsewhere(stored: Uint8Array, wanted: number): Promise<Uint8Array | null> {
  return decodeElsewhere.whole('lz4', stored, wanted);
}
