// Inodes of an ext4 file system: where they are, and what is in them.

import { TWO_32, viewOf } from '../lib/bytes.js';
import {
  GROUP,
  INLINE_PARENT_SIZE,
  INODE,
  INODE_BLOCKS_SIZE,
  INODE_EXTENTS,
  INODE_INLINE_DATA,
  INODE_SIZE,
  MODE,
  WIDE_GROUP_SIZE,
  XATTR,
  XATTR_MAGIC,
  XATTR_SYSTEM,
} from './format.js';
import type { Metadata } from './metadata.js';

export interface Inode {
  readonly number: number;
  readonly kind: 'directory' | 'regular' | 'symlink' | 'other';
  /** Bytes; rounded above 2^53. */
  readonly size: number;
  readonly hasExtents: boolean;
  readonly hasInlineData: boolean;
  /** The block map, extent tree, inline data or link target: 60 bytes. */
  readonly blocks: Uint8Array;
  /** All bytes of the inode. */
  readonly bytes: Uint8Array;
}

/** @throws OverlaybdError BAD_FORMAT if there is no such inode, and what reading it throws */
export async function readInode(metadata: Metadata, number: number): Promise<Inode> {
  const { superblock: sb } = metadata;
  const section = `inode ${number}`;
  const group = Math.floor((number - 1) / sb.inodesPerGroup);
  if (number < 1 || number > sb.inodes || group >= sb.groups) {
    throw metadata.damage(section, 0, `an inode from 1 to ${sb.inodes}`, number);
  }
  const table = await inodeTable(metadata, group);
  const at = ((number - 1) % sb.inodesPerGroup) * sb.inodeSize;
  const block = table + Math.floor(at / sb.blockSize);
  const part = await metadata.part(block, at % sb.blockSize, sb.inodeSize, section);
  // A copy: directories that wait for their turn would keep a page each in memory.
  const bytes = new Uint8Array(part);
  const view = viewOf(bytes);
  const kind = kindOf(view.getUint16(INODE.mode, true));
  const hasHighSize = kind === 'regular' || (kind === 'directory' && sb.hasLargeDirectories);
  const high = hasHighSize ? view.getUint32(INODE.sizeHigh, true) : 0;
  const flags = view.getUint32(INODE.flags, true);
  return {
    number,
    kind,
    size: view.getUint32(INODE.sizeLow, true) + high * TWO_32,
    hasExtents: (flags & INODE_EXTENTS) !== 0,
    hasInlineData: (flags & INODE_INLINE_DATA) !== 0,
    blocks: bytes.subarray(INODE.blocks, INODE.blocks + INODE_BLOCKS_SIZE),
    bytes,
  };
}

/** The first block of the inodes of a group. */
async function inodeTable(metadata: Metadata, group: number): Promise<number> {
  const { blockSize, descriptorSize } = metadata.superblock;
  const aBlock = blockSize / descriptorSize;
  const block = descriptorBlock(metadata, Math.floor(group / aBlock));
  const at = (group % aBlock) * descriptorSize;
  const bytes = await metadata.part(block, at, descriptorSize, `descriptor of group ${group}`);
  const view = viewOf(bytes);
  const high = descriptorSize < WIDE_GROUP_SIZE ? 0 : view.getUint32(GROUP.inodeTableHigh, true);
  return view.getUint32(GROUP.inodeTableLow, true) + high * TWO_32;
}

/** Where a block of group descriptors is: after the superblock, or at the beginning of the groups that it describes. */
function descriptorBlock({ superblock: sb }: Metadata, number: number): number {
  // With blocks of 1024 bytes, the superblock is in block 1 also if that is not the first one.
  const isShifted = sb.blockSize === 1024 && sb.firstDataBlock === 0;
  if (number < sb.firstMetaGroup)
    return Math.max(sb.firstDataBlock, isShifted ? 1 : 0) + 1 + number;
  const group = number * (sb.blockSize / sb.descriptorSize);
  const first = sb.firstDataBlock + group * sb.blocksPerGroup;
  return first + (sb.hasCopy(group) ? 1 : 0) + (isShifted && number === 0 ? 1 : 0);
}

function kindOf(mode: number): Inode['kind'] {
  switch (mode & MODE.mask) {
    case MODE.directory:
      return 'directory';
    case MODE.regular:
      return 'regular';
    case MODE.symlink:
      return 'symlink';
    default:
      return 'other';
  }
}

/**
 * The data of an inode that has no blocks: in two parts, instead of the block map and as an extended attribute in the
 * inode. Together they may be longer than the data.
 * @throws OverlaybdError BAD_FORMAT
 */
export function inlineParts(metadata: Metadata, inode: Inode): readonly [Uint8Array, Uint8Array] {
  return [inode.blocks, inlineRest(metadata, inode)];
}

/** The entries of an inline directory: the first part has the number of its parent in front. @throws OverlaybdError BAD_FORMAT */
export function inlineEntries(metadata: Metadata, inode: Inode): readonly [Uint8Array, Uint8Array] {
  const [first, rest] = inlineParts(metadata, inode);
  return [first.subarray(INLINE_PARENT_SIZE), rest];
}

function inlineRest(metadata: Metadata, { number, bytes }: Inode): Uint8Array {
  const none = bytes.subarray(0, 0);
  if (bytes.length < INODE_SIZE + 4) return none;
  const view = viewOf(bytes);
  const section = `inode ${number}`;
  const begin = INODE_SIZE + view.getUint16(INODE.extraSize, true);
  if (begin + 4 > bytes.length || view.getUint32(begin, true) !== XATTR_MAGIC) return none;
  const entries = begin + 4;
  for (let at = entries; at + XATTR.name <= bytes.length;) {
    const nameLength = view.getUint8(at + XATTR.nameLength);
    const nameIndex = view.getUint8(at + XATTR.nameIndex);
    // Four zero bytes end the list.
    if (nameLength === 0 && nameIndex === 0) break;
    const end = at + XATTR.name + nameLength;
    const name = String.fromCharCode(...bytes.subarray(at + XATTR.name, end));
    if (nameIndex === XATTR_SYSTEM && name === 'data') {
      const from = entries + view.getUint16(at + XATTR.valueOffset, true);
      const length = view.getUint32(at + XATTR.valueSize, true);
      if (view.getUint32(at + XATTR.valueInode, true) !== 0 || from + length > bytes.length) {
        throw metadata.damage(section, at, 'inline data within the inode', `${length} bytes`);
      }
      return bytes.subarray(from, from + length);
    }
    at += XATTR.name + Math.ceil(nameLength / 4) * 4;
  }
  return none;
}
