// The interface of batch decoders and the one place that picks an implementation. Decoders know
// blocks and their CRCs, not files.

import { CODEC_LZ4, CODEC_ZSTD, codecs } from '../native/block-decoder.js';
import type { Algorithm } from './algorithm.js';
import { Lz4Codec } from './lz4.js';
import { NativeDecoder } from './native-decoder.js';
import { PortableDecoder } from './portable-decoder.js';
import { ZstdCodec } from './zstd.js';

/** A decoder may overwrite this many bytes in front of each block that it decodes. */
export const DECODE_HEADROOM = 4;

/** A run of stored blocks that lie one behind the other. Reused for every run of a thread. */
export interface Batch {
  /** The stored bytes, with {@link DECODE_HEADROOM} bytes that may be overwritten in front. */
  src: Buffer;
  /** Where the first block begins in `src`. */
  base: number;
  /** Offsets from `base`: block i, its CRC included, is [bounds[i], bounds[i + 1]). */
  bounds: Uint32Array;
  /** Bytes of CRC-32C at the end of each block, little-endian: 4, or 0 when there is none. */
  crcSize: number;
  /** What the CRC register starts from. */
  crcSeed: number;
}

export interface BatchDecoder {
  /**
   * Checks the CRCs of blocks [first, first + count) of a batch, at least one, and decodes them to
   * `dst` one behind the other. Every block must give `blockSize` bytes, the last one `lastSize`.
   * @returns the index of the first block whose CRC is wrong or that does not, or -1 when all did;
   *   its own stored bytes and those behind it are then as they were
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

/** When this is 1 in the environment, the libraries of the system are left alone. */
const PORTABLE_ONLY = 'OVERLAYBD_NBD_PORTABLE_CODECS';

const NATIVE: Readonly<Record<Algorithm, { number: number; library: string; portable: string }>> = {
  lz4: { number: CODEC_LZ4, library: 'liblz4', portable: 'lz4-napi' },
  zstd: { number: CODEC_ZSTD, library: 'libzstd', portable: 'zstd-napi' },
};

/** The version of the system's library, when it is there and may be used. */
function libraryVersion(algorithm: Algorithm): string {
  return process.env[PORTABLE_ONLY] === '1' ? '' : codecs.version(NATIVE[algorithm].number);
}

/** A decoder for one thread: it keeps state and scratch memory between calls. */
export function createDecoder(algorithm: Algorithm): BatchDecoder {
  return libraryVersion(algorithm) === ''
    ? createPortableDecoder(algorithm)
    : new NativeDecoder(NATIVE[algorithm].number);
}

/**
 * The decoder that needs no library of the system; also what the other is tested against.
 * @internal tests compare the two decoders
 */
export function createPortableDecoder(algorithm: Algorithm): BatchDecoder {
  switch (algorithm) {
    case 'lz4':
      return new PortableDecoder(new Lz4Codec());
    case 'zstd':
      return new PortableDecoder(new ZstdCodec());
  }
}

/** What {@link createDecoder} gives for each algorithm, for people: "liblz4 1.9.4", "lz4-napi". */
export function codecsInUse(): Record<Algorithm, string> {
  return { lz4: codecInUse('lz4'), zstd: codecInUse('zstd') };
}

function codecInUse(algorithm: Algorithm): string {
  const version = libraryVersion(algorithm);
  const { library, portable } = NATIVE[algorithm];
  return version === '' ? portable : `${library} ${version}`;
}
