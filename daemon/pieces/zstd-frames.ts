// Decodes zstd frames to a known number of bytes. Where frames end is found by their block headers (RFC 8878, 3.1.1), so
// that frames that follow, of a tar header for example, are left alone.

import { DECODE_HEADROOM } from '../codec/batch.js';
import type { BatchDecoder } from '../codec/batch.js';
import { decodeElsewhere, type BeginDecoder } from '../codec/decoder.js';

const MAGIC = 0xfd2f_b528;
const SKIPPABLE_MAGIC = 0x184d_2a50;
const DICTIONARY_ID_SIZES = [0, 1, 2, 4];
const CONTENT_SIZE_SIZES = [0, 2, 4, 8];
const RLE_BLOCK = 1;
const COMPRESSED_BLOCK = 2;
const RESERVED_BLOCK = 3;

/** Bytes of the header of a frame at most. */
export const MAX_HEADER_SIZE = 18;
/** Bytes of the header of a frame to skip. */
export const SKIPPABLE_HEADER_SIZE = 8;

export interface Frame {
  readonly end: number;
  /** Plain bytes; null if the frame does not say. */
  readonly plain: number | null;
  /** Whether its blocks say that it has no plain byte: then it need not be decoded. */
  readonly isEmpty: boolean;
}

/** Both decoders of a thread. */
export interface ZstdDecoders {
  /** For frames that have exactly the bytes that are wanted. */
  readonly exact: BatchDecoder;
  /** For frames that do not say how many they have, or have more. */
  readonly begin: BeginDecoder;
}

/**
 * Decodes the first `wanted` bytes of the frames at the beginning of `stored`, on this thread.
 * @param wanted at least one
 * @returns null if they have fewer, or cannot be decoded
 */
export function decodeFrames(
  stored: Uint8Array,
  wanted: number,
  { exact, begin }: ZstdDecoders,
): Uint8Array | null {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  const dst = Buffer.allocUnsafeSlow(wanted);
  const end = endOfFrames(bytes, wanted);
  if (end === null) return begin.decode(bytes, dst) === wanted ? dst : null;
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
  return exact.decode(batch, 0, 1, dst, 0, wanted, wanted) < 0 ? dst : null;
}

/**
 * The same while the thread does other work.
 * @param decoder other than that of this machine, for tests
 */
export function decodeFramesElsewhere(
  stored: Uint8Array,
  wanted: number,
  decoder = decodeElsewhere,
): Promise<Uint8Array | null> {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  const end = endOfFrames(bytes, wanted);
  if (end === null) return decoder.begin(bytes, wanted);
  return decoder.whole('zstd', bytes.subarray(0, end), wanted);
}

/** Where the frames end that say that they have `wanted` bytes together; null if they do not say it. */
function endOfFrames(bytes: Buffer, wanted: number): number | null {
  let end = 0;
  for (let plain = 0; plain < wanted;) {
    const frame = frameAt(bytes, end);
    if (!frame || frame.plain === null) return null;
    ({ end } = frame);
    plain += frame.plain;
    if (plain > wanted) return null;
  }
  return end;
}

/** Whether a frame with contents begins there. */
export function isFrameMagic(bytes: Buffer): boolean {
  return bytes.length >= 4 && bytes.readUInt32LE(0) === MAGIC;
}

/** The stored bytes of a skippable frame; null if something else is there. */
export function skippedBytes(bytes: Buffer): number | null {
  if (bytes.length < SKIPPABLE_HEADER_SIZE) return null;
  const isSkippable = bytes.readUInt32LE(0) >>> 4 === SKIPPABLE_MAGIC >>> 4;
  return isSkippable ? SKIPPABLE_HEADER_SIZE + bytes.readUInt32LE(4) : null;
}

/** @returns null if no whole frame is there */
export function frameAt(bytes: Buffer, begin: number): Frame | null {
  if (begin + 8 > bytes.length) return null;
  const magic = bytes.readUInt32LE(begin);
  if ((magic & 0xffff_fff0) === (SKIPPABLE_MAGIC & 0xffff_fff0)) {
    const end = begin + 8 + bytes.readUInt32LE(begin + 4);
    return end <= bytes.length ? { end, plain: 0, isEmpty: true } : null;
  }
  if (magic !== MAGIC) return null;
  const descriptor = bytes[begin + 4] as number;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionarySize = DICTIONARY_ID_SIZES[descriptor & 3] as number;
  const flag = descriptor >>> 6;
  const contentSizeSize = flag === 0 && isSingleSegment ? 1 : (CONTENT_SIZE_SIZES[flag] as number);
  const contentSizeAt = begin + 5 + (isSingleSegment ? 0 : 1) + dictionarySize;
  let at = contentSizeAt + contentSizeSize;
  let isEmpty = true;
  for (let isLast = false; !isLast;) {
    if (at + 3 > bytes.length) return null;
    const header = bytes.readUIntLE(at, 3);
    isLast = (header & 1) === 1;
    const type = (header >>> 1) & 3;
    if (type === RESERVED_BLOCK) return null;
    if (type === COMPRESSED_BLOCK || header >>> 3 > 0) isEmpty = false;
    at += 3 + (type === RLE_BLOCK ? 1 : header >>> 3);
  }
  if ((descriptor & 4) !== 0) at += 4;
  if (at > bytes.length) return null;
  const plain = contentSizeOf(bytes, contentSizeAt, contentSizeSize);
  return { end: at, plain, isEmpty: isEmpty && (plain ?? 0) === 0 };
}

/**
 * The plain bytes that the header of a frame says.
 * @param head its first bytes: MAX_HEADER_SIZE, or all that there are
 * @returns null if it does not say
 */
export function frameContentSize(head: Buffer): number | null {
  const descriptor = head[4] ?? 0;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const flag = descriptor >>> 6;
  const size = flag === 0 && isSingleSegment ? 1 : (CONTENT_SIZE_SIZES[flag] as number);
  const at = 5 + (isSingleSegment ? 0 : 1) + (DICTIONARY_ID_SIZES[descriptor & 3] as number);
  return at + size <= head.length ? contentSizeOf(head, at, size) : null;
}

/**
 * What decoding of a frame refers back to at most, in bytes.
 * @param head its first bytes: MAX_HEADER_SIZE, or all that there are
 * @returns null if the header is not whole
 */
export function frameWindow(head: Buffer): number | null {
  const descriptor = head[4];
  if (descriptor === undefined) return null;
  if ((descriptor & 0x20) !== 0) return frameContentSize(head);
  const window = head[5];
  if (window === undefined) return null;
  const base = 2 ** (10 + (window >>> 3));
  return base + (base / 8) * (window & 7);
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
