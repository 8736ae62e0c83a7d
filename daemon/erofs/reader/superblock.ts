// The superblock of an EROFS image that another program has made, as far as a reader of its metadata needs it.

import { formatError } from '../../errors.js';
import { TWO_32, viewOf } from '../../lib/bytes.js';
import { MAGIC, SB, SUPERBLOCK } from '../format.js';
import { MAX_BLOCK_BITS, MIN_BLOCK_BITS } from './limits.js';

/** Bytes of a superblock without its extension slots. */
const SIZE = 128;

/** Incompatible features: an image has further devices, names begin with long prefixes, block numbers have 48 bits. */
const DEVICE_TABLE = 8;
const XATTR_PREFIXES = 0x40;
const BITS_48 = 0x80;

/** What the superblock says. Offsets are bytes in the image. */
export interface Superblock {
  readonly compat: number;
  readonly incompat: number;
  /** 512 to 65,536 bytes. */
  readonly blockSize: number;
  /** Of the whole image, without other devices. */
  readonly blocks: number;
  /** What nids count from. */
  readonly metaStart: number;
  /** What the numbers of shared xattrs count from. */
  readonly xattrStart: number;
  readonly rootNid: number;
  /** Block numbers have 48 bits, and compact inodes a time. */
  readonly is48Bit: boolean;
  /** How many long prefixes of xattrs there are, and where: byte offset in the packed inode or in the image. */
  readonly xattrPrefixes: number;
  readonly xattrPrefixesAt: number;
  /** The inode with the ends of files; 0: none. */
  readonly packedNid: number;
  /** The time of all inodes that have none of their own: seconds since 1970, may be negative. */
  readonly epoch: number;
  readonly epochNs: number;
  /** How files may be compressed, one bit for each way. */
  readonly algorithms: number;
  /** Other devices that have contents. */
  readonly extraDevices: number;
  /** Where their list begins. */
  readonly devicesAt: number;
}

/** @param head the first bytes of a blob, at least 1152 if it has as many */
export function isErofs(head: Buffer): boolean {
  return head.length >= SUPERBLOCK + SIZE && head.readUInt32LE(SUPERBLOCK) === MAGIC;
}

/**
 * @param head the first bytes of an image for which {@link isErofs} is true
 * @param blob for messages
 * @throws OverlaybdError BAD_FORMAT
 */
export function readSuperblock(head: Buffer, blob: string): Superblock {
  const sb = head.subarray(SUPERBLOCK, SUPERBLOCK + SIZE);
  const view = viewOf(sb);
  const bad = (field: number, expected: string, got: string | number): Error =>
    formatError({ blob, section: 'superblock', offset: SUPERBLOCK + field, expected, got });
  const bits = sb[SB.blockBits] as number;
  if (bits < MIN_BLOCK_BITS || bits > MAX_BLOCK_BITS) {
    const expected = `a block size of 2^${MIN_BLOCK_BITS} to 2^${MAX_BLOCK_BITS} bytes`;
    throw bad(SB.blockBits, expected, `2^${bits}`);
  }
  const blockSize = 2 ** bits;
  if (sb[SB.directoryBlockBits] !== 0) {
    throw bad(SB.directoryBlockBits, '0', sb[SB.directoryBlockBits] as number);
  }
  const epoch = view.getBigInt64(SB.epoch, true);
  if (!Number.isSafeInteger(Number(epoch))) throw bad(SB.epoch, 'a time', `${epoch}`);
  const incompat = view.getUint32(SB.incompat, true);
  const is48Bit = (incompat & BITS_48) !== 0;
  const [blocksHigh, rootNid] = is48Bit ? wideFields(view) : [0, view.getUint16(SB.rootNid, true)];
  const epochNs = view.getUint32(SB.epochNs, true);
  if (epochNs >= 1e9) throw bad(SB.epochNs, 'nanoseconds of a second', epochNs);
  return {
    compat: view.getUint32(SB.compat, true),
    incompat,
    blockSize,
    blocks: blocksHigh * TWO_32 + view.getUint32(SB.blocks, true),
    metaStart: view.getUint32(SB.metaBlock, true) * blockSize,
    xattrStart: view.getUint32(SB.xattrBlock, true) * blockSize,
    rootNid,
    is48Bit,
    xattrPrefixes: (incompat & XATTR_PREFIXES) === 0 ? 0 : (sb[SB.xattrPrefixCount] as number),
    xattrPrefixesAt: view.getUint32(SB.xattrPrefixStart, true) * 4,
    packedNid: nidAt(view, SB.packedNid),
    epoch: Number(epoch),
    epochNs,
    algorithms: view.getUint16(SB.algorithms, true),
    // As kernels do: without the feature, the field says nothing.
    extraDevices: (incompat & DEVICE_TABLE) === 0 ? 0 : view.getUint16(SB.extraDevices, true),
    devicesAt: view.getUint16(SB.deviceSlot, true) * SIZE,
  };
}

/** A nid. One in the metabox has 64 bits, and is rounded: those who read inodes find it nowhere in the image. */
function nidAt(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

/** Of an image with 48-bit block numbers: the high bits of the number of its blocks, and the nid of its root. */
function wideFields(view: DataView): [blocksHigh: number, rootNid: number] {
  const nid = nidAt(view, SB.rootNidOf48Bits);
  // Without a wide one, the old field is the root's, and there are no high bits.
  if (nid === 0) return [0, view.getUint16(SB.rootNid, true)];
  return [view.getUint16(SB.rootNid, true), nid];
}
