// How an archive with an index of tarfs looks, as far as that can be seen without reading it: there is no magic. Pure.

import type { BlobSource } from '../blob/source.js';
import { TAR_BLOCK } from '../blob/tar.js';
import { areZeros, u64le, viewOf } from '../lib/bytes.js';

/** Bytes of a blob are a multiple of it, and the last such block has nothing but the superblock. */
export const BLOCK = 4096;
/** Where the superblock begins, from the end. */
export const FROM_END = 512;
/** Bytes of the superblock. */
export const SIZE = 16;
/** What the name of a file says, if nothing else does. */
const NAME = /\.tarfs$/;
/** In place of the superblock, if a hash tree of dm-verity follows: its block sizes, and the number of blocks before it. */
export const VERITY = Buffer.from('0010000000100000', 'hex');

/**
 * Whether an archive has an index behind it.
 * @param tail the last BLOCK bytes of a blob that begins as an archive does, or all
 */
export function hasTarfsIndex(
  tail: Buffer,
  { name, size }: Pick<BlobSource, 'name' | 'size'>,
): boolean {
  return NAME.test(name) || (size % BLOCK === 0 && isSuperblock(tail.subarray(-BLOCK)));
}

/**
 * Whether a blob may be an archive without files with an index behind it: zeros come before the table of inodes. A disk may begin
 * with zeros, too, and so the name says nothing.
 * @param head the first bytes of the blob
 * @param tail the last BLOCK bytes, or all
 */
export function mayBeEmptyTarfs(head: Buffer, tail: Buffer, size: number): boolean {
  const last = tail.subarray(-BLOCK);
  if (size % BLOCK !== 0 || !isSuperblock(last)) return false;
  const at = BLOCK - FROM_END;
  const hasVerity = last.subarray(at, at + VERITY.length).equals(VERITY);
  // The table of an index with a hash tree behind it is not known here.
  const table = hasVerity ? TAR_BLOCK : u64le(viewOf(last), at);
  return table > 0 && areZeros(head.subarray(0, table));
}

/** Zeros, with 16 bytes that are not all zero at their place. */
function isSuperblock(block: Buffer): boolean {
  if (block.length < BLOCK) return false;
  const at = BLOCK - FROM_END;
  const isZero = (from: number, to: number): boolean => areZeros(block.subarray(from, to));
  return isZero(0, at) && !isZero(at, at + SIZE) && isZero(at + SIZE, BLOCK);
}
