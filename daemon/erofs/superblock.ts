// The superblock: block 0 of the device.

import { createHash } from 'node:crypto';
import { crc32c } from '../native/crc32c.js';
import { BLOCK, BLOCK_SHIFT, COMPAT_CHECKSUM_AND_MTIME, MAGIC, SB, SUPERBLOCK } from './format.js';

/**
 * The version of the layout. Every daemon makes the same bytes of the same layers: a device goes on after a restart,
 * an upgrade or on another host. So what a version means never changes.
 */
export const LAYOUT_VERSION = 1;

export interface SuperblockFacts {
  readonly rootNid: number;
  readonly inodes: number;
  /** Of the whole device. */
  readonly blocks: number;
  /** The block in which, or before which, the shared xattrs begin; 0 if there are none. */
  readonly xattrBlock: number;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
}

/** @returns the bytes of block 0 */
export function superblock({ rootNid, inodes, blocks, xattrBlock, uuid }: SuperblockFacts): Buffer {
  const block = Buffer.alloc(BLOCK);
  const sb = block.subarray(SUPERBLOCK);
  sb.writeUInt32LE(MAGIC, SB.magic);
  sb.writeUInt32LE(COMPAT_CHECKSUM_AND_MTIME, SB.compat);
  sb[SB.blockBits] = BLOCK_SHIFT;
  sb.writeUInt16LE(rootNid, SB.rootNid);
  sb.writeUInt32LE(inodes, SB.inodes);
  sb.writeUInt32LE(blocks, SB.blocks);
  sb.writeUInt32LE(xattrBlock, SB.xattrBlock);
  sb.set(uuid, SB.uuid);
  sb.writeUInt32LE(crc32c(sb, 0, sb.length, 0xffff_ffff), SB.checksum);
  return block;
}

/** @param seed what the tree is made of: the digests of the layers, bottom first */
export function uuidOf(seed: readonly string[]): Uint8Array {
  const hash = createHash('sha256').update(`erofs layout ${LAYOUT_VERSION}\n`);
  for (const each of seed) hash.update(`${each}\n`);
  return hash.digest().subarray(0, 16);
}
