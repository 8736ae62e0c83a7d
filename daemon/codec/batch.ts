// A run of stored blocks as decoders take it, and the interfaces of decoders. Types, and one constant.

/** A decoder may overwrite this many bytes in front of each block that it decodes. */
export const DECODE_HEADROOM = 4;

/** A run of stored blocks, one directly after the other. Reused for every run of a thread. */
export interface Batch {
  /** The stored bytes, with {@link DECODE_HEADROOM} bytes that may be overwritten in front. */
  readonly src: Buffer;
  /** Where the first block begins in `src`. */
  readonly base: number;
  /** Offsets from `base`: block i, its CRC included, is [bounds[i], bounds[i + 1]). */
  readonly bounds: Uint32Array;
  /** Plain bytes of every block but the last one of the file. */
  blockSize: number;
  /** Bytes of CRC-32C at the end of each block, little-endian: 4, or 0 when there is none. */
  crcSize: number;
  /** The initial value of the CRC register. */
  readonly crcSeed: number;
}

export interface BatchDecoder {
  /** Whether it can decode the beginning of a block without the rest. */
  readonly canDecodeBegin: boolean;
  /** The number of its codec, for native/decode-ahead.ts; null: it is a package, which decodes on one thread. */
  readonly codecAhead: number | null;
  /**
   * Checks the CRCs of blocks [first, first + count) of a batch, at least one, and decodes them to
   * `dst` from `at` on, one directly after the other. Every block must give `blockSize` bytes, the last
   * one `lastSize`.
   * @param lastWanted how many bytes of the last block are decoded: fewer than `lastSize` only if
   *   {@link canDecodeBegin}. After these bytes only the CRC is checked
   * @returns the index of the first block whose CRC is wrong or that does not decode, or -1 if all did;
   *   its own stored bytes and those after it are then unchanged
   */
  decode(
    batch: Batch,
    first: number,
    count: number,
    dst: Uint8Array,
    at: number,
    lastSize: number,
    lastWanted: number,
  ): number;
}

/** A codec of a package, which decodes one block at a time. */
export interface PortableCodec {
  /**
   * Decodes the block at [begin, end) of `src` to `want` bytes of `dst` from `at` on. May overwrite the
   * {@link DECODE_HEADROOM} bytes in front of the block.
   * @returns whether it gave exactly that many bytes
   */
  decode(
    src: Buffer,
    begin: number,
    end: number,
    dst: Uint8Array,
    at: number,
    want: number,
  ): boolean;
}
