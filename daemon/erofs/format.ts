// EROFS on disk, as far as Linux 5.4 knows it: sizes, field offsets, numbers. docs/lazy-images.md describes the layout
// that is made of them. All numbers are little-endian.

import type { FileType } from '../tree/file-types.js';

/** The only block size that every kernel with pages of 4096 bytes mounts. */
export const BLOCK = 4096;
export const BLOCK_SHIFT = 12;
/** A nid is the place of an inode in these units. */
export const SLOT = 32;
/** Bytes of an extended inode. */
export const INODE = 64;
/** Bytes of a directory entry without its name. */
export const DIRENT = 12;
/** A block number where there is no block. */
export const NO_BLOCK = 0xffff_ffff;
/** The same of a number of 48 bits. */
export const NO_WIDE_BLOCK = 2 ** 48 - 1;

/** Byte offset in the device. The rest of block 0 before it is for boot loaders. */
export const SUPERBLOCK = 1024;
export const MAGIC = 0xe0f5_e1e2;

/** Offsets in the superblock. */
export const SB = {
  magic: 0,
  checksum: 4,
  compat: 8,
  blockBits: 12,
  rootNid: 14,
  inodes: 16,
  epoch: 24,
  epochNs: 32,
  blocks: 36,
  metaBlock: 40,
  xattrBlock: 44,
  uuid: 48,
  incompat: 80,
  algorithms: 84,
  extraDevices: 86,
  deviceSlot: 88,
  directoryBlockBits: 90,
  xattrPrefixCount: 91,
  xattrPrefixStart: 92,
  packedNid: 96,
  rootNidOf48Bits: 112,
} as const;

/** The checksum of the superblock is checked (by Linux from 5.5 on); inodes have times of their own. */
export const COMPAT_CHECKSUM_AND_MTIME = 3;

/** Offsets in an extended inode. */
export const I = {
  format: 0,
  xattrCount: 2,
  mode: 4,
  size: 8,
  /** First block, or the number of a device. */
  place: 16,
  number: 20,
  uid: 24,
  gid: 28,
  mtime: 32,
  nanoseconds: 40,
  nlink: 44,
} as const;

/** Contents in blocks of their own. Bit 0: an extended inode. */
export const FORMAT_PLAIN = 1;
/** The last part of the contents is after the inode and its xattrs. */
export const FORMAT_INLINE = 1 | (2 << 1);

/** Bytes before the xattrs of an inode: a filter that we do not use, and how many shared ones there are. */
export const XATTR_HEADER = 12;
/** Bytes of an xattr without name and value. */
export const XATTR_ENTRY = 4;
/** Xattrs of an inode: the count of 4-byte units after the header, plus 1, has 16 bits. */
export const MAX_XATTR_AREA = XATTR_HEADER + 4 * (0xffff - 1);
/** An inode's shared xattrs: their number has 8 bits. */
export const MAX_SHARED = 255;
export const MAX_XATTR_VALUE = 0xffff;
export const MAX_XATTR_NAME = 255;

/** The number of a type in a directory entry. */
export const DIRENT_TYPES: Readonly<Record<FileType, number>> = {
  reg: 1,
  dir: 2,
  char: 3,
  block: 4,
  fifo: 5,
  symlink: 7,
};
