// The superblock of a bootstrap, and its extension: where the tables are, and what the image needs.

import { OverlaybdError } from '../errors.js';
import { hex32 } from '../lib/bytes.js';
import { MAX_BLOBS, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from './limits.js';
import { i64, u64, type ImageBytes } from './image-bytes.js';
import { looksLikeRafsV5 } from './signs.js';

export const BLOCK = 4096;
const AT = 1024;
const SIZE = 128;
const EXTENSION_SIZE = 256;
/** Where the superblock and its extension end: what is needed to recognize a bootstrap, and more. */
const RAFS_HEAD_SIZE = AT + SIZE + EXTENSION_SIZE;
/** Where the device slots begin, in units of their size. */
const SLOTS_AT = 11;
const SLOT_SIZE = 128;

const MAGIC = 0xe0f5_e1e2;
/** The compatible feature by which a bootstrap differs from other EROFS images. */
const COMPAT_RAFS = 0x4000_0000;
const INCOMPAT_CHUNKED = 4;
const INCOMPAT_DEVICES = 8;

/** Flags of the extension. */
const COMPRESSORS = new Map([
  [1, 'none'],
  [2, 'lz4'],
  [0x40, 'gzip'],
  [0x80, 'zstd'],
] as const);
const DIGESTERS = new Map([
  [4, 'blake3'],
  [8, 'sha256'],
] as const);
const FLAG_TARFS = 0x200;
const FLAG_ENCRYPTED = 0x200_0000;

export interface Table {
  /** Byte offset in the bootstrap. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

export interface RafsSuperblock {
  /** Byte offset that nids count from. */
  readonly inodesAt: number;
  readonly rootNid: number;
  /** The time of inodes that have none of their own: seconds, and nanoseconds after them. */
  readonly epoch: number;
  readonly epochNs: number;
  readonly compressor: string;
  readonly digester: string;
  /** Plain bytes of a chunk at most. */
  readonly chunkSize: number;
  readonly blobs: Table;
  readonly chunks: Table;
  /** Only a hint: nothing of it is checked yet. */
  readonly prefetch: Table;
  /** One for each blob. */
  readonly slots: Table;
}

/** @param head the first bytes of a blob */
export function looksLikeRafs(head: Buffer): boolean {
  return (
    head.length >= RAFS_HEAD_SIZE &&
    head.readUInt32LE(AT) === MAGIC &&
    (head.readUInt32LE(AT + 8) & COMPAT_RAFS) !== 0
  );
}

/** @throws OverlaybdError UNSUPPORTED */
export function refuseRafsV5(name: string): never {
  const advice = 'convert the image again (nydusify convert --fs-version 6)';
  const message = `${name}: a bootstrap of RAFS v5 (Nydus): not supported: ${advice}`;
  throw new OverlaybdError('UNSUPPORTED', message, { facts: { blob: name } });
}

/** @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED */
export function readSuperblock(image: ImageBytes): RafsSuperblock {
  if (looksLikeRafsV5(image.bytes)) refuseRafsV5(image.name);
  const block = image.part('superblock', AT, SIZE);
  checkKind(image, block);
  const devices = block.readUInt16LE(86);
  checkFeatures(image, block, devices);
  const extension = image.part('superblock extension', AT + SIZE, EXTENSION_SIZE);
  const chunkSize = extension.readUInt32LE(20);
  const isChunkSize = chunkSize >= MIN_CHUNK_BYTES && chunkSize <= MAX_CHUNK_BYTES;
  if (!isChunkSize || (chunkSize & (chunkSize - 1)) !== 0) {
    const expected = `a chunk size that is a power of two from ${MIN_CHUNK_BYTES} to ${MAX_CHUNK_BYTES}`;
    throw image.bad('superblock extension', AT + SIZE + 20, expected, chunkSize);
  }
  const flags = u64(extension, 0);
  if (flags >= 2 ** 32) {
    throw image.bad('superblock extension', AT + SIZE, 'flags that are known', String(flags));
  }
  if ((flags & FLAG_ENCRYPTED) !== 0) throw image.unsupported('encrypted chunks');
  if ((flags & FLAG_TARFS) !== 0) throw image.unsupported('the tarfs mode');
  return {
    inodesAt: block.readUInt32LE(40) * BLOCK,
    rootNid: block.readUInt16LE(14),
    epoch: i64(block, 24),
    epochNs: block.readUInt32LE(32),
    compressor: oneOf(image, flags, COMPRESSORS, 'compressor'),
    digester: oneOf(image, flags, DIGESTERS, 'digester'),
    chunkSize,
    blobs: table(image, 'blob table', u64(extension, 8), extension.readUInt32LE(16), BLOCK),
    chunks: table(image, 'chunk table', u64(extension, 24), u64(extension, 32), BLOCK),
    prefetch: { offset: u64(extension, 40), size: extension.readUInt32LE(48) },
    slots: table(image, 'device slots', SLOTS_AT * SLOT_SIZE, devices * SLOT_SIZE, SLOT_SIZE),
  };
}

/** What is in an archive or a data blob is not known to be a bootstrap before it is read. */
function checkKind(image: ImageBytes, block: Buffer): void {
  const magic = block.readUInt32LE(0);
  if (magic !== MAGIC) {
    throw image.bad('superblock', AT, `the magic ${hex32(MAGIC)} of EROFS`, hex32(magic));
  }
  const compat = block.readUInt32LE(8);
  if ((compat & COMPAT_RAFS) === 0) {
    const expected = `the compatible feature ${hex32(COMPAT_RAFS)} of RAFS v6`;
    throw image.bad('superblock', AT + 8, expected, hex32(compat));
  }
}

function checkFeatures(image: ImageBytes, block: Buffer, devices: number): void {
  const blockBits = block.readUInt8(12);
  if (blockBits === 9) throw image.unsupported('the tarfs mode (blocks of 512 bytes)');
  if (blockBits !== 12) {
    throw image.bad('superblock', AT + 12, 'blocks of 2^12 bytes', `2^${blockBits}`);
  }
  const incompat = block.readUInt32LE(80);
  if ((incompat & ~(INCOMPAT_CHUNKED | INCOMPAT_DEVICES)) !== 0) {
    const expected = 'the incompatible features of RAFS, chunks and devices';
    throw image.bad('superblock', AT + 80, expected, hex32(incompat));
  }
  if (block.readUInt8(13) !== 0) {
    throw image.bad('superblock', AT + 13, 'no further slots', block.readUInt8(13));
  }
  if (devices > MAX_BLOBS) {
    throw image.bad('superblock', AT + 86, `at most ${MAX_BLOBS} devices`, devices, 'LIMIT');
  }
  if (devices > 0 && block.readUInt16LE(88) !== SLOTS_AT) {
    const expected = `device slots from number ${SLOTS_AT} on`;
    throw image.bad('superblock', AT + 88, expected, block.readUInt16LE(88));
  }
}

/** @throws OverlaybdError BAD_FORMAT if the flags name none of them, or several */
function oneOf(
  image: ImageBytes,
  flags: number,
  names: ReadonlyMap<number, string>,
  what: string,
): string {
  const named = [...names].flatMap(([bit, name]) => ((flags & bit) === 0 ? [] : [name]));
  const [name] = named;
  if (name !== undefined && named.length === 1) return name;
  const got = name === undefined ? 'none' : named.join(' and ');
  throw image.bad('superblock extension', AT + SIZE, `flags that name one ${what}`, got);
}

/** A table that is not there has size 0. */
function table(
  image: ImageBytes,
  section: string,
  offset: number,
  size: number,
  alignment: number,
): Table {
  if (size === 0) return { offset: 0, size: 0 };
  if (offset % alignment !== 0) {
    throw image.bad(section, offset, `an offset that is a multiple of ${alignment}`, offset);
  }
  image.part(section, offset, size);
  return { offset, size };
}
