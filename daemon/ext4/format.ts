// The format of ext4: offsets, flags and magic numbers. All numbers are little-endian.
// Source: the kernel's Documentation/filesystems/ext4, and fs/ext4/ext4.h.

/** The superblock is at this byte of the device, whatever the size of a block is. */
export const SUPERBLOCK_AT = 1024;
export const SUPERBLOCK_SIZE = 1024;
export const EXT_MAGIC = 0xef53;

/** Offsets in the superblock, in bytes. */
export const SB = {
  inodes: 0x00,
  blocksLow: 0x04,
  firstDataBlock: 0x14,
  logBlockSize: 0x18,
  blocksPerGroup: 0x20,
  inodesPerGroup: 0x28,
  magic: 0x38,
  revision: 0x4c,
  inodeSize: 0x58,
  compat: 0x5c,
  incompat: 0x60,
  roCompat: 0x64,
  descriptorSize: 0xfe,
  firstMetaGroup: 0x104,
  blocksHigh: 0x150,
  backupGroups: 0x24c,
} as const;

export const COMPAT_SPARSE_SUPER2 = 0x200;
export const RO_COMPAT_SPARSE_SUPER = 0x1;

/** Features that change what a reader has to do. */
export const INCOMPAT = {
  filetype: 0x2,
  recover: 0x4,
  metaGroups: 0x10,
  extents: 0x40,
  wide: 0x80,
  multipleMount: 0x100,
  flexGroups: 0x200,
  valuesInInodes: 0x400,
  checksumSeed: 0x2000,
  largeDirectories: 0x4000,
  inlineData: 0x8000,
  encrypted: 0x1_0000,
  casefold: 0x2_0000,
} as const;

/** All of {@link INCOMPAT}. Those of encryption and case folding change the meaning of some names only. */
export const KNOWN_INCOMPAT = Object.values(INCOMPAT).reduce((all, flag) => all | flag, 0);

/** Offsets in a group descriptor. The high half is there if descriptors have 64 bytes. */
export const GROUP = { inodeTableLow: 0x08, inodeTableHigh: 0x28 } as const;
export const GROUP_SIZE = 32;
export const WIDE_GROUP_SIZE = 64;

/** Offsets in an inode. */
export const INODE = {
  mode: 0x00,
  sizeLow: 0x04,
  flags: 0x20,
  blocks: 0x28,
  sizeHigh: 0x6c,
  /** Bytes of the inode after the first 128; in-inode extended attributes follow them. */
  extraSize: 0x80,
} as const;
/** Of the first revision, and the fixed part of all. */
export const INODE_SIZE = 128;
/** The block map, extent tree, inline data or link target of an inode. */
export const INODE_BLOCKS_SIZE = 60;
export const ROOT_INODE = 2;

export const INODE_EXTENTS = 0x8_0000;
export const INODE_INLINE_DATA = 0x1000_0000;

export const MODE = { mask: 0xf000, directory: 0x4000, regular: 0x8000, symlink: 0xa000 } as const;

/** An extent tree: a header and its entries, 12 bytes each. */
export const EXTENT_MAGIC = 0xf30a;
export const EXTENT_SIZE = 12;
export const EXTENT_HEADER = { magic: 0, entries: 2, depth: 6 } as const;
export const EXTENT_LEAF = { logical: 0, length: 4, startHigh: 6, startLow: 8 } as const;
export const EXTENT_INDEX = { logical: 0, leafLow: 4, leafHigh: 8 } as const;
/** A length above this one: the blocks are allocated, and read as zeros. */
export const MAX_WRITTEN_LENGTH = 0x8000;

/** A block map: numbers of blocks, then of blocks of numbers, one, two and three levels deep. */
export const DIRECT_BLOCKS = 12;
export const INDIRECT_LEVELS = 3;

/** An entry of a directory. */
export const DIRENT = { inode: 0, length: 4, nameLength: 6, fileType: 7, name: 8 } as const;

/** Extended attributes in an inode. */
export const XATTR_MAGIC = 0xea02_0000;
export const XATTR = {
  nameLength: 0,
  nameIndex: 1,
  valueOffset: 2,
  valueInode: 4,
  valueSize: 8,
  name: 16,
} as const;
/** "system." */
export const XATTR_SYSTEM = 7;
/** Of an inline directory: the number of its parent is before its entries. */
export const INLINE_PARENT_SIZE = 4;
