// The ZFile header and trailer: bytes to values. Pure: reads nothing, opens nothing.
// See "ZFile" in docs/formats.md. All numbers are little-endian.

import { bytesMatch, hexOf, u64Exact, u64le, viewOf } from '../lib/bytes.js';
import { formatError } from '../errors.js';

/** Bytes that a header or trailer takes on disk; the struct itself is 96 of them. */
export const ZFILE_HEADER_SIZE = 512;

const ZFILE_MAGIC = Uint8Array.from([
  ...Buffer.from('ZFile\0\x01\0', 'latin1'),
  ...Buffer.from('tuji.yyf@Alibaba', 'latin1'),
]);

export const ZFILE_FLAG = {
  header: 1 << 0,
  dataFile: 1 << 1,
  sealed: 1 << 2,
  /** The header carries what else only the trailer has; the trailer is then never read. */
  headerOverwritten: 1 << 3,
  digest: 1 << 4,
} as const;

/** Offsets of the fields in bytes. */
export const ZFILE_FIELD = {
  magic: 0,
  size: 24,
  digest: 28,
  flags: 32,
  indexOffset: 40,
  indexSize: 48,
  originalSize: 56,
  indexCrc: 64,
  blockSize: 72,
  algorithm: 76,
  level: 77,
  useDict: 78,
  args: 80,
  dictSize: 84,
  verify: 88,
} as const;

const MIN_BLOCK_SIZE = 512;
export const MAX_BLOCK_SIZE = 65536;
/** Entries of a jump table; the reference's limit. */
const MAX_INDEX_ENTRIES = 1_000_000_000;
/** The buffer of a writer has the block size plus this, so no stored block is longer. */
export const MAX_STORED_OVERHEAD = 512;
/** Seed of the CRC of a block. */
export const BLOCK_CRC_SEED = 100007;
export const BLOCK_CRC_SIZE = 4;

export interface ZfileHeader {
  readonly flags: number;
  readonly digest: number;
  /** Byte offset of the jump table in the file. */
  readonly indexOffset: number;
  /** Number of u32 entries in the jump table. */
  readonly indexSize: number;
  readonly originalSize: number;
  /** Those three without rounding, for messages. */
  readonly exact: {
    readonly indexOffset: bigint;
    readonly indexSize: bigint;
    readonly originalSize: bigint;
  };
  readonly indexCrc: number;
  readonly blockSize: number;
  readonly algorithm: number;
  readonly level: number;
  readonly dictSize: number;
  /** Whether every stored block ends with its CRC. */
  readonly verify: boolean;
}

/** Whether the bytes begin as a ZFile does: magic, and the bit that says header. */
export function isZfileHeader(bytes: Uint8Array): boolean {
  return (
    bytes.length >= ZFILE_HEADER_SIZE &&
    bytesMatch(bytes, 0, ZFILE_MAGIC) &&
    ((bytes[ZFILE_FIELD.flags] ?? 0) & ZFILE_FLAG.header) !== 0
  );
}

/** The values of a header or trailer, unchecked. */
export function parseZfileHeader(bytes: Uint8Array): ZfileHeader {
  const view = viewOf(bytes);
  return {
    flags: view.getUint32(ZFILE_FIELD.flags, true),
    digest: view.getUint32(ZFILE_FIELD.digest, true),
    indexOffset: u64le(view, ZFILE_FIELD.indexOffset),
    indexSize: u64le(view, ZFILE_FIELD.indexSize),
    originalSize: u64le(view, ZFILE_FIELD.originalSize),
    exact: {
      indexOffset: u64Exact(view, ZFILE_FIELD.indexOffset),
      indexSize: u64Exact(view, ZFILE_FIELD.indexSize),
      originalSize: u64Exact(view, ZFILE_FIELD.originalSize),
    },
    indexCrc: view.getUint32(ZFILE_FIELD.indexCrc, true),
    blockSize: view.getUint32(ZFILE_FIELD.blockSize, true),
    algorithm: view.getUint8(ZFILE_FIELD.algorithm),
    level: view.getUint8(ZFILE_FIELD.level),
    dictSize: view.getUint32(ZFILE_FIELD.dictSize, true),
    verify: view.getUint8(ZFILE_FIELD.verify) !== 0,
  };
}

/**
 * Checks magic and flags of a trailer.
 * @param offset of the trailer in the blob
 * @throws OverlaybdError BAD_FORMAT
 */
export function checkTrailer(bytes: Uint8Array, blob: string, offset: number): void {
  if (!bytesMatch(bytes, 0, ZFILE_MAGIC)) {
    throw formatError({
      blob,
      section: 'zfile trailer magic',
      offset,
      expected: hexOf(ZFILE_MAGIC),
      got: hexOf(bytes.subarray(0, ZFILE_MAGIC.length)),
    });
  }
  const flags = viewOf(bytes).getUint32(ZFILE_FIELD.flags, true);
  const wanted = ZFILE_FLAG.dataFile | ZFILE_FLAG.sealed;
  if ((flags & (wanted | ZFILE_FLAG.header)) === wanted) return;
  throw formatError({
    blob,
    section: 'zfile trailer flags',
    offset: offset + ZFILE_FIELD.flags,
    expected: 'data file and sealed set, header clear',
    got: `0x${flags.toString(16)}`,
  });
}

/**
 * Checks the numbers that say how the file is laid out, before anything is allocated from them.
 * @param headerOffset where the header or trailer that they come from stands in the blob
 * @param layoutEnd where the jump table must end at the latest
 * @throws OverlaybdError BAD_FORMAT for the first that is wrong
 */
export function checkGeometry(
  header: ZfileHeader,
  blob: string,
  headerOffset: number,
  layoutEnd: number,
): void {
  const check = (
    ok: boolean,
    name: string,
    field: number,
    expected: string,
    got: number | bigint,
  ): void => {
    if (ok) return;
    const offset = headerOffset + field;
    throw formatError({ blob, section: `zfile ${name}`, offset, expected, got });
  };
  const { blockSize, indexSize, indexOffset, dictSize, originalSize, exact } = header;
  check(
    blockSize >= MIN_BLOCK_SIZE &&
      blockSize <= MAX_BLOCK_SIZE &&
      (blockSize & (blockSize - 1)) === 0,
    'block size',
    ZFILE_FIELD.blockSize,
    `a power of two from ${MIN_BLOCK_SIZE} to ${MAX_BLOCK_SIZE}`,
    blockSize,
  );
  check(
    indexSize <= MAX_INDEX_ENTRIES,
    'jump table size',
    ZFILE_FIELD.indexSize,
    `at most ${MAX_INDEX_ENTRIES} entries`,
    exact.indexSize,
  );
  check(
    indexOffset >= ZFILE_HEADER_SIZE + dictSize && indexOffset <= layoutEnd,
    'jump table offset',
    ZFILE_FIELD.indexOffset,
    `${ZFILE_HEADER_SIZE + dictSize} to ${layoutEnd}`,
    exact.indexOffset,
  );
  check(
    indexOffset + indexSize * 4 <= layoutEnd,
    'jump table end',
    ZFILE_FIELD.indexSize,
    `at most ${layoutEnd}`,
    exact.indexOffset + exact.indexSize * 4n,
  );
  check(
    indexSize >= Math.ceil(originalSize / blockSize),
    'jump table size',
    ZFILE_FIELD.indexSize,
    `${blocksOf(exact.originalSize, blockSize)} entries, one for each block of ${exact.originalSize} bytes`,
    exact.indexSize,
  );
}

function blocksOf(originalSize: bigint, blockSize: number): bigint {
  return (originalSize + BigInt(blockSize) - 1n) / BigInt(blockSize);
}
