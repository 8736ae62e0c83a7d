// Picks the implementation of a batch decoder: the library of the system, or else a package. Decoders
// know blocks and their CRCs, not files.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { CODEC_LZ4, CODEC_ZSTD, codecs } from '../native/block-decoder.js';
import type { Algorithm } from './algorithm.js';
import type { BatchDecoder } from './batch.js';
import { Lz4Codec } from './lz4.js';
import { NativeDecoder } from './native-decoder.js';
import { PortableDecoder } from './portable-decoder.js';
import { hasPackage } from './portable-package.js';
import { NativeZstdStream, PortableZstdStream, type ZstdStream } from './zstd-stream.js';
import { ZstdBegin, ZstdCodec } from './zstd.js';

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

/** Decodes the beginning of zstd frames, which may have more than is wanted. */
export interface BeginDecoder {
  /**
   * Decodes until `dst` is full or `src` ends.
   * @returns the bytes written to `dst`; -1 if `src` is not valid
   */
  decode(src: Uint8Array, dst: Uint8Array): number;
}

export function createZstdBeginDecoder(): BeginDecoder {
  return libraryVersion('zstd') === ''
    ? createPortableZstdBeginDecoder()
    : { decode: (src, dst) => codecs.decodeZstdBegin(src, dst) };
}

/** @internal tests compare the two decoders */
export function createPortableZstdBeginDecoder(): BeginDecoder {
  return new ZstdBegin();
}

/** Decodes frames in steps. @throws OverlaybdError UNSUPPORTED if there is neither library nor package */
export function createZstdStream(): ZstdStream {
  return libraryVersion('zstd') === '' ? new PortableZstdStream() : new NativeZstdStream();
}

/** Decodes long pieces while the thread does other work. */
export interface ElsewhereDecoder {
  /**
   * Decodes all of `src`, which may be used again at once.
   * @param length plain bytes, at least one
   * @returns null if `src` is not valid, or has not as many
   */
  whole(algorithm: Algorithm, src: Uint8Array, length: number): Promise<Uint8Array | null>;
  /** Decodes zstd frames as a {@link BeginDecoder} does. */
  begin(src: Uint8Array, length: number): Promise<Uint8Array | null>;
}

/** On a thread of Node's pool; without the library of the system on this thread, in steps between which it does other work. */
export const decodeElsewhere: ElsewhereDecoder = {
  whole: (algorithm, src, length) =>
    libraryVersion(algorithm) === ''
      ? portableElsewhere.whole(algorithm, src, length)
      : codecs.decodeElsewhere(NATIVE[algorithm].number, src, length, 0),
  begin: (src, length) =>
    libraryVersion('zstd') === ''
      ? portableElsewhere.begin(src, length)
      : codecs.decodeElsewhere(CODEC_ZSTD, src, length, 1),
};

/** @internal tests compare the two decoders */
export const portableElsewhere: ElsewhereDecoder = {
  whole: async (algorithm, src, length) => {
    if (algorithm === 'zstd') return portableElsewhere.begin(src, length);
    const dst = Buffer.allocUnsafeSlow(length);
    return (await new Lz4Codec().decodeInPool(Buffer.from(src), dst)) === length ? dst : null;
  },
  begin: async (src, length) => {
    const dst = Buffer.allocUnsafeSlow(length);
    const written = await new ZstdBegin().decodeInSteps(Buffer.from(src), dst, nextTurn);
    return written === length ? dst : null;
  },
};

/**
 * The decoder that needs no library of the system; tests compare the other one with it.
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

/** Names what {@link createDecoder} makes for each algorithm, for people: "liblz4 1.9.4", "lz4-napi", "none". */
export function codecsInUse(): Record<Algorithm, string> {
  return { lz4: codecInUse('lz4'), zstd: codecInUse('zstd') };
}

function codecInUse(algorithm: Algorithm): string {
  const version = libraryVersion(algorithm);
  const { library, portable } = NATIVE[algorithm];
  if (version !== '') return `${library} ${version}`;
  return hasPackage(portable) ? portable : 'none';
}
