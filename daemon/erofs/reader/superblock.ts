// The superblock of an EROFS image that another program has made, as far as a reader of its metadata needs it.

import { formatError } from '../../errors.js';
import { viewOf } from '../../lib/bytes.js';
import { MAGIC, SB, SUPERBLOCK } from '../format.js';
import { MAX_BLOCK_BITS, MIN_BLOCK_BITS } from './limits.js';

/** Bytes of a superblock without its extension slots. */
const SIZE = 128;

/** The incompatible feature of an image with further devices. */
const DEVICE_TABLE = 8;

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
  const epochNs = view.getUint32(SB.epochNs, true);
  if (epochNs >= 1e9) throw bad(SB.epochNs, 'nanoseconds of a second', epochNs);
  return {
    compat: view.getUint32(SB.compat, true),
    incompat,
    blockSize,
    blocks: view.getUint32(SB.blocks, true),
    metaStart: view.getUint32(SB.metaBlock, true) * blockSize,
    xattrStart: view.getUint32(SB.xattrBlock, true) * blockSize,
    rootNid: view.getUint16(SB.rootNid, true),
    epoch: Number(epoch),
    epochNs,
    algorithms: view.getUint16(SB.algorithms, true),
    // As kernels do: without the feature, the field says nothing.
    extraDevices: (incompat & DEVICE_TABLE) === 0 ? 0 : view.getUint16(SB.extraDevices, true),
    devicesAt: view.getUint16(SB.deviceSlot, true) * SIZE,
  };
}
