// The superblock of an ext4 file system, checked. Pure.

import { OverlaybdError, formatError } from '../errors.js';
import { TWO_32, hex32, viewOf } from '../lib/bytes.js';
import {
  COMPAT_SPARSE_SUPER2,
  EXT_MAGIC,
  GROUP_SIZE,
  INCOMPAT,
  INODE_SIZE,
  KNOWN_INCOMPAT,
  RO_COMPAT_SPARSE_SUPER,
  SB,
  SUPERBLOCK_AT,
  WIDE_GROUP_SIZE,
} from './format.js';

export interface Superblock {
  /** Bytes. */
  readonly blockSize: number;
  /** Blocks of the file system. */
  readonly blocks: number;
  /** 1 if blocks have 1024 bytes, else 0. */
  readonly firstDataBlock: number;
  readonly blocksPerGroup: number;
  readonly groups: number;
  readonly inodes: number;
  readonly inodesPerGroup: number;
  /** Bytes. */
  readonly inodeSize: number;
  /** Bytes of a group descriptor. */
  readonly descriptorSize: number;
  /** The first block of group descriptors that is in its own groups; Infinity: none is. */
  readonly firstMetaGroup: number;
  /** Which groups begin with a copy of the superblock. */
  readonly hasCopy: (group: number) => boolean;
  readonly hasFileTypes: boolean;
  readonly hasLargeDirectories: boolean;
}

/** Whether this may be a superblock: maybe of ext2 or ext3, or a damaged one. */
export function isSuperblock(bytes: Uint8Array): boolean {
  return viewOf(bytes).getUint16(SB.magic, true) === EXT_MAGIC;
}

/**
 * @param bytes 1024 of them
 * @param deviceSize bytes
 * @param name of the device, for messages
 * @throws OverlaybdError BAD_FORMAT, UNSUPPORTED
 */
export function parseSuperblock(bytes: Uint8Array, deviceSize: number, name: string): Superblock {
  const view = viewOf(bytes);
  const u16 = (at: number): number => view.getUint16(at, true);
  const u32 = (at: number): number => view.getUint32(at, true);
  const check = (isGood: boolean, at: number, expected: string, got: number | string): void => {
    if (isGood) return;
    const offset = SUPERBLOCK_AT + at;
    throw formatError({ blob: name, section: 'ext4 superblock', offset, expected, got });
  };
  check(u16(SB.magic) === EXT_MAGIC, SB.magic, hex32(EXT_MAGIC), hex32(u16(SB.magic)));
  const incompat = u32(SB.incompat);
  const unknown = (incompat & ~KNOWN_INCOMPAT) >>> 0;
  if (unknown !== 0) {
    const what = `ext4 with features ${hex32(unknown)} that change its format`;
    throw new OverlaybdError('UNSUPPORTED', `${name}: ${what}, which are not supported`);
  }
  const log = u32(SB.logBlockSize);
  check(log <= 6, SB.logBlockSize, 'blocks of 2^10 to 2^16 bytes', log);
  const blockSize = 1024 << log;
  const isWide = (incompat & INCOMPAT.wide) !== 0;
  const blocks = u32(SB.blocksLow) + (isWide ? u32(SB.blocksHigh) * TWO_32 : 0);
  const most = Math.floor(deviceSize / blockSize);
  check(blocks <= most, SB.blocksLow, `at most ${most} blocks, as the device has`, blocks);
  const firstDataBlock = u32(SB.firstDataBlock);
  const isFirst = firstDataBlock <= (blockSize === 1024 ? 1 : 0);
  check(isFirst && firstDataBlock < blocks, SB.firstDataBlock, 'the first block', firstDataBlock);
  const blocksPerGroup = u32(SB.blocksPerGroup);
  check(blocksPerGroup > 0, SB.blocksPerGroup, 'blocks in a group', blocksPerGroup);
  const inodeSize = u32(SB.revision) === 0 ? INODE_SIZE : u16(SB.inodeSize);
  const isInodeSize = inodeSize >= INODE_SIZE && inodeSize <= blockSize && isPowerOfTwo(inodeSize);
  check(isInodeSize, SB.inodeSize, `a power of 2 from ${INODE_SIZE} to a block`, inodeSize);
  const inodesPerGroup = u32(SB.inodesPerGroup);
  const areInodes = inodesPerGroup > 0 && inodesPerGroup <= 8 * blockSize;
  check(areInodes, SB.inodesPerGroup, `1 to ${8 * blockSize} inodes in a group`, inodesPerGroup);
  const descriptorSize = isWide ? u16(SB.descriptorSize) : GROUP_SIZE;
  const least = isWide ? WIDE_GROUP_SIZE : GROUP_SIZE;
  const isDescriptor =
    descriptorSize >= least && descriptorSize <= 1024 && isPowerOfTwo(descriptorSize);
  check(isDescriptor, SB.descriptorSize, `a power of 2 from ${least} to 1024`, descriptorSize);
  return {
    blockSize,
    blocks,
    firstDataBlock,
    blocksPerGroup,
    groups: Math.ceil((blocks - firstDataBlock) / blocksPerGroup),
    inodes: u32(SB.inodes),
    inodesPerGroup,
    inodeSize,
    descriptorSize,
    firstMetaGroup: (incompat & INCOMPAT.metaGroups) === 0 ? Infinity : u32(SB.firstMetaGroup),
    hasCopy: copiesOf(view),
    hasFileTypes: (incompat & INCOMPAT.filetype) !== 0,
    hasLargeDirectories: (incompat & INCOMPAT.largeDirectories) !== 0,
  };
}

function copiesOf(view: DataView): (group: number) => boolean {
  if ((view.getUint32(SB.compat, true) & COMPAT_SPARSE_SUPER2) !== 0) {
    const backups = [0, 4].map((at) => view.getUint32(SB.backupGroups + at, true));
    return (group) => group === 0 || backups.includes(group);
  }
  if ((view.getUint32(SB.roCompat, true) & RO_COMPAT_SPARSE_SUPER) === 0) return () => true;
  return (group) => group <= 1 || [3, 5, 7].some((base) => isPowerOf(base, group));
}

function isPowerOf(base: number, n: number): boolean {
  let power = base;
  while (power < n) power *= base;
  return power === n;
}

function isPowerOfTwo(n: number): boolean {
  return n > 0 && (n & (n - 1)) === 0;
}
