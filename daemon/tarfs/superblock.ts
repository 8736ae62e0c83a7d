// The last block of an archive with an index of tarfs, as the kernel module of Kata Containers mounts it: 16 bytes say where the
// table of inodes is. There is no magic.

import { formatError } from '../errors.js';
import { readFully, type BlobSource } from '../blob/source.js';
import { u64le, viewOf } from '../lib/bytes.js';

/** Bytes of a blob are a multiple of it, and the last such block has nothing but the superblock. */
const BLOCK = 4096;
/** Where the superblock begins, from the end. */
const FROM_END = 512;
const SIZE = 16;
/** Bytes of an inode. */
export const INODE = 32;
/** What the name of a file says, if nothing else does. */
const NAME = /\.tarfs$/;
/** In place of the superblock, if a hash tree of dm-verity follows: its block sizes, and the number of blocks before it. */
const VERITY = Buffer.from('0010000000100000', 'hex');

/** Byte offsets in the blob. */
export interface TarfsSuperblock {
  /** Where the archive ends, and the table of inodes begins. */
  readonly table: number;
  readonly inodes: number;
  /** Where the index ends at the latest: the superblock itself. */
  readonly end: number;
  /** Whether a hash tree of dm-verity follows. */
  readonly hasVerity: boolean;
}

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

/** Zeros, with 16 bytes that are not all zero at their place. */
function isSuperblock(block: Buffer): boolean {
  if (block.length < BLOCK) return false;
  const at = BLOCK - FROM_END;
  const isZero = (from: number, to: number): boolean =>
    block.subarray(from, to).every((byte) => byte === 0);
  return isZero(0, at) && !isZero(at, at + SIZE) && isZero(at + SIZE, BLOCK);
}

/**
 * Reads the superblock of a blob for which {@link hasTarfsIndex} is true.
 * @throws OverlaybdError BAD_FORMAT, and what reading throws
 */
export async function readTarfsSuperblock(source: BlobSource): Promise<TarfsSuperblock> {
  const { name: blob, size } = source;
  if (size % BLOCK !== 0 || size === 0) {
    const expected = `tarfs: a multiple of ${BLOCK} bytes`;
    throw formatError({ blob, section: 'size', offset: 0, expected, got: size });
  }
  const last = await readFully(source, size - FROM_END, SIZE);
  const hasVerity = last.subarray(0, VERITY.length).equals(VERITY);
  let end = size - FROM_END;
  let found = last;
  if (hasVerity) {
    const blocks = u64le(viewOf(last), VERITY.length);
    if (!(blocks > 0 && blocks * BLOCK < size)) {
      const expected = `dm-verity: blocks of tarfs before byte ${size}`;
      throw formatError({ blob, section: 'superblock', offset: end, expected, got: blocks });
    }
    end = blocks * BLOCK - FROM_END;
    found = await readFully(source, end, SIZE);
  }
  const view = viewOf(found);
  const [table, inodes] = [u64le(view, 0), u64le(view, 8)];
  // The last block has nothing but the superblock.
  const most = end + FROM_END - BLOCK;
  if (!(inodes > 0 && table + inodes * INODE <= most)) {
    throw formatError({
      blob,
      section: 'superblock',
      offset: end,
      expected: `tarfs: a table of inodes before byte ${Math.max(most, 0)}`,
      got: `${inodes} of ${INODE} bytes at byte ${table}`,
    });
  }
  return { table, inodes, end: most, hasVerity };
}
