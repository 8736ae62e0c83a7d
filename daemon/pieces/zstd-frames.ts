// Decodes zstd frames to a known number of bytes. Frames are found by their block headers (RFC 8878, 3.1.1), so that
// frames that follow, of a tar header for example, are left alone.

import { DECODE_HEADROOM } from '../codec/batch.js';
import type { BatchDecoder } from '../codec/batch.js';

const MAGIC = 0xfd2f_b528;
const SKIPPABLE_MAGIC = 0x184d_2a50;
const DICTIONARY_ID_SIZES = [0, 1, 2, 4];
const CONTENT_SIZE_SIZES = [0, 2, 4, 8];
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

interface Frame {
  readonly end: number;
  /** Plain bytes; null if the frame does not say. */
  readonly plain: number | null;
}

/**
 * Decodes the frames at the beginning of `stored` that have `wanted` bytes.
 * @returns null if that is not what they have
 */
export function decodeFrames(
  stored: Uint8Array,
  wanted: number,
  decoder: BatchDecoder,
): Uint8Array | null {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  let end = 0;
  for (let plain = 0; plain < wanted;) {
    const frame = frameAt(bytes, end);
    if (!frame) return null;
    ({ end } = frame);
    plain += frame.plain ?? wanted - plain;
    if (plain > wanted) return null;
  }
  // The decoder may write in front of the bytes.
  const src = Buffer.allocUnsafeSlow(DECODE_HEADROOM + end);
  src.set(bytes.subarray(0, end), DECODE_HEADROOM);
  const batch = {
    src,
    base: DECODE_HEADROOM,
    bounds: Uint32Array.of(0, end),
    blockSize: wanted,
    crcSize: 0,
    crcSeed: 0,
  };
  const dst = Buffer.allocUnsafeSlow(wanted);
  return decoder.decode(batch, 0, 1, dst, 0, wanted) < 0 ? dst : null;
}

/** @returns null if no whole frame is there */
function frameAt(bytes: Buffer, begin: number): Frame | null {
  if (begin + 8 > bytes.length) return null;
  const magic = bytes.readUInt32LE(begin);
  if ((magic & 0xffff_fff0) === (SKIPPABLE_MAGIC & 0xffff_fff0)) {
    const end = begin + 8 + bytes.readUInt32LE(begin + 4);
    return end <= bytes.length ? { end, plain: 0 } : null;
  }
  if (magic !== MAGIC) return null;
  const descriptor = bytes[begin + 4] as number;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionarySize = DICTIONARY_ID_SIZES[descriptor & 3] as number;
  const flag = descriptor >>> 6;
  const contentSizeSize = flag === 0 && isSingleSegment ? 1 : (CONTENT_SIZE_SIZES[flag] as number);
  const contentSizeAt = begin + 5 + (isSingleSegment ? 0 : 1) + dictionarySize;
  let at = contentSizeAt + contentSizeSize;
  for (let isLast = false; !isLast;) {
    if (at + 3 > bytes.length) return null;
    const header = bytes.readUIntLE(at, 3);
    isLast = (header & 1) === 1;
    const type = (header >>> 1) & 3;
    if (type === RESERVED_BLOCK) return null;
    at += 3 + (type === RLE_BLOCK ? 1 : header >>> 3);
  }
  if ((descriptor & 4) !== 0) at += 4;
  if (at > bytes.length) return null;
  return { end: at, plain: contentSizeOf(bytes, contentSizeAt, contentSizeSize) };
}

function contentSizeOf(bytes: Buffer, at: number, size: number): number | null {
  switch (size) {
    case 0:
      return null;
    case 1:
      return bytes.readUInt8(at);
    case 2:
      return bytes.readUInt16LE(at) + 256;
    case 4:
      return bytes.readUInt32LE(at);
    default:
      return Number(bytes.readBigUInt64LE(at));
  }
}
