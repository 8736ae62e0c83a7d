// The last block of an archive with an index of tarfs, as the kernel module of Kata Containers mounts it: 16 bytes say where the
// table of inodes is. There is no magic.

import { formatError, OverlaybdError } from '../errors.js';
import { readFully, type BlobSource } from '../blob/source.js';
import { u64le, viewOf } from '../lib/bytes.js';
import { typeOfMode } from '../tree/file-types.js';
import { BLOCK, FROM_END, SIZE, VERITY } from './signs.js';

/** Bytes of an inode. */
export const INODE = 32;

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

/**
 * Whether the superblock is right, and the first inode is a directory.
 * @throws what reading throws
 */
export async function hasTarfsRoot(source: BlobSource): Promise<boolean> {
  const found = await readTarfsSuperblock(source).catch((error: unknown) => {
    if (error instanceof OverlaybdError && error.code === 'BAD_FORMAT') return null;
    throw error;
  });
  if (!found) return false;
  const mode = await readFully(source, found.table, 2);
  return typeOfMode(mode.readUInt16LE(0)) === 'dir';
}
