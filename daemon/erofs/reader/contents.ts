// Where an image has the contents of an inode: blocks, what follows the inode, or chunks anywhere.

import { OverlaybdError, formatError } from '../../errors.js';
import { TWO_32 } from '../../lib/bytes.js';
import { typeOfMode } from '../../tree/file-types.js';
import { NO_BLOCK, NO_WIDE_BLOCK } from '../format.js';
import type { ErofsInode } from './inode.js';
import type { Superblock } from './superblock.js';

/** Bytes of an inode in one piece. */
export interface Extent {
  /** Byte offset in the contents. */
  readonly fileOffset: number;
  readonly length: number;
  /** Byte offset in the image. */
  readonly offset: number;
}

/**
 * The contents of an inode whose layout is `plain` or `inline`, in their order: at most two extents, both in the image. The blocks
 * of a regular file may be a hole, which is no extent.
 * @param end bytes of the image
 * @throws OverlaybdError BAD_FORMAT if they are outside of the image; UNSUPPORTED if they are compressed
 */
export function flatExtents(
  inode: ErofsInode,
  sb: Superblock,
  end: number,
  blob: string,
): Extent[] {
  const { blockSize } = sb;
  const { layout, size, place } = inode;
  const bad = (expected: string, got: string | number): Error =>
    formatError({ blob, section: `inode ${inode.nid}`, offset: inode.at, expected, got });
  if (layout === 'compressed') {
    const text = `${blob}: inode ${inode.nid} at byte ${inode.at}: compressed contents are not supported here`;
    throw new OverlaybdError('UNSUPPORTED', text, { facts: { blob, offset: inode.at } });
  }
  if (layout === 'chunks') throw bad('contents in blocks or inline', 'chunks');
  if (size === 0) return [];
  const tail = inlineTail(inode, sb, end, blob);
  const inBlocks = size - (tail?.length ?? 0);
  const extents: Extent[] = [];
  if (inBlocks > 0 && inode.isHole) {
    if (typeOfMode(inode.mode) !== 'reg') throw bad('a first block', 'none');
  } else if (inBlocks > 0) {
    const offset = place * blockSize;
    if (offset + inBlocks > end) throw bad(`contents before byte ${end}`, offset + inBlocks);
    extents.push({ fileOffset: 0, length: inBlocks, offset });
  }
  if (tail) extents.push(tail);
  return extents;
}

/**
 * The last bytes of an inode whose layout is `inline`, which follow its xattrs; null if it has none.
 * @param end bytes of the image
 * @throws OverlaybdError BAD_FORMAT if they are outside of the image, or in two blocks
 */
export function inlineTail(
  { nid, at, layout, size, end: offset }: ErofsInode,
  { blockSize }: Superblock,
  end: number,
  blob: string,
): Extent | null {
  const length = layout === 'inline' ? size % blockSize : 0;
  if (length === 0) return null;
  if (offset + length > end || (offset % blockSize) + length > blockSize) {
    const expected = `inline contents within a block and before byte ${end}`;
    const got = offset + length;
    throw formatError({ blob, section: `inode ${nid}`, offset: at, expected, got });
  }
  return { fileOffset: size - length, length, offset };
}

/** The largest chunk that the number in an inode can say: 2^31 blocks. */
const CHUNK_BITS = 0x1f;
const WITH_DEVICES = 0x20;
/** Of numbers with devices: blocks have 48 bits. */
const WIDE = 0x40;

/** How the chunks of an inode are numbered. */
export interface ChunkForm {
  /** Bytes of a chunk. */
  readonly chunkSize: number;
  readonly count: number;
  /** Byte offset in the image of the first number. */
  readonly at: number;
  /** Bytes of a number: 4, or 8 with a device. */
  readonly width: number;
  /** Of numbers with devices: blocks have 48 bits. */
  readonly isWide: boolean;
}

/**
 * @param imageEnd bytes of the image
 * @throws OverlaybdError BAD_FORMAT if the numbers are outside of the image
 */
export function chunkForm(
  { nid, at, size, place, end }: ErofsInode,
  { blockSize, is48Bit }: Superblock,
  imageEnd: number,
  blob: string,
): ChunkForm {
  const bad = (expected: string, got: string | number): Error =>
    formatError({ blob, section: `inode ${nid}`, offset: at, expected, got });
  const format = place & 0xffff;
  const isWide = is48Bit && (format & (WIDE | WITH_DEVICES)) === (WIDE | WITH_DEVICES);
  const known = CHUNK_BITS | WITH_DEVICES | (isWide ? WIDE : 0);
  if ((format & ~known) !== 0) throw bad('a known form of chunks', format);
  const chunkSize = blockSize * 2 ** (format & CHUNK_BITS);
  const width = (format & WITH_DEVICES) === 0 ? 4 : 8;
  const count = Math.ceil(size / chunkSize);
  const first = Math.ceil(end / width) * width;
  if (first + count * width > imageEnd) {
    throw bad(`${count} numbers of chunks before byte ${imageEnd}`, first + count * width);
  }
  return { chunkSize, count, at: first, width, isWide };
}

/** Whether all chunks are holes. */
export function isOneHole(form: ChunkForm, image: Buffer): boolean {
  for (let i = 0; i < form.count; i++) {
    if (chunkPlace(form, i, image).block !== null) return false;
  }
  return true;
}

/** Where a chunk is: the number of a device, with bits that may not count, and a block; null is a hole. */
export function chunkPlace(
  { at, width, isWide }: ChunkForm,
  i: number,
  image: Buffer,
): { device: number; block: number | null } {
  const here = at + i * width;
  if (width === 4) return { device: 0, block: blockOf(image.readUInt32LE(here), NO_BLOCK) };
  const device = image.readUInt16LE(here + 2);
  const low = image.readUInt32LE(here + 4);
  if (!isWide) return { device, block: blockOf(low, NO_BLOCK) };
  const block = image.readUInt16LE(here) * TWO_32 + low;
  return { device, block: blockOf(block, NO_WIDE_BLOCK) };
}

function blockOf(stored: number, hole: number): number | null {
  return stored === hole ? null : stored;
}
