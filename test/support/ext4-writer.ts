// Writes small ext4 file systems by hand, valid or deliberately invalid: one group, blocks of 1024 bytes, inodes of 256.
import type { Ext4Device } from '../../daemon/ext4/metadata.js';

export const BLOCK = 1024;
const INODE = 256;
const TABLE = 3;
const INODES = 64;

export interface WrittenInode {
  /** Octal, with the kind: 0o100644. A directory, a regular file and a symlink if only the kind is given. */
  readonly kind: 'directory' | 'regular' | 'symlink' | 'other';
  readonly size?: number;
  /** 0x80000: extents; 0x10000000: inline data. */
  readonly flags?: number;
  /** In place of the block map, up to 60 bytes. */
  readonly blocks?: Uint8Array;
}

const MODES = { directory: 0o40755, regular: 0o100644, symlink: 0o120777, other: 0o20600 };
export const EXTENTS = 0x8_0000;
export const INLINE = 0x1000_0000;

export interface WrittenExtent {
  readonly logical: number;
  /** Blocks, or of an inner node nothing. */
  readonly length?: number;
  /** The first block, or of an inner node the block of its child. */
  readonly first: number;
}

export class Ext4Writer {
  readonly bytes: Buffer;

  constructor(blocks = 256) {
    this.bytes = Buffer.alloc(blocks * BLOCK);
    const sb = this.superblock;
    sb.writeUInt32LE(INODES, 0x00);
    sb.writeUInt32LE(blocks, 0x04);
    sb.writeUInt32LE(1, 0x14);
    sb.writeUInt32LE(8192, 0x20);
    sb.writeUInt32LE(INODES, 0x28);
    sb.writeUInt16LE(0xef53, 0x38);
    sb.writeUInt32LE(1, 0x4c);
    sb.writeUInt16LE(INODE, 0x58);
    sb.writeUInt32LE(0x2 | 0x40, 0x60);
    sb.writeUInt32LE(0x1, 0x64);
    this.block(2).writeUInt32LE(TABLE, 0x08);
  }

  get superblock(): Buffer {
    return this.bytes.subarray(1024, 2048);
  }

  get device(): Ext4Device {
    return {
      name: 'disk',
      size: this.bytes.length,
      read: (offset, length) =>
        Promise.resolve(Uint8Array.from(this.bytes.subarray(offset, offset + length))),
    };
  }

  block(number: number): Buffer {
    return this.bytes.subarray(number * BLOCK, (number + 1) * BLOCK);
  }

  /** All bytes of an inode. */
  inodeBytes(number: number): Buffer {
    const at = TABLE * BLOCK + (number - 1) * INODE;
    return this.bytes.subarray(at, at + INODE);
  }

  inode(number: number, { kind, size = 0, flags = 0, blocks }: WrittenInode): void {
    const bytes = this.inodeBytes(number);
    bytes.fill(0);
    bytes.writeUInt16LE(MODES[kind], 0x00);
    bytes.writeUInt32LE(size % 2 ** 32, 0x04);
    bytes.writeUInt32LE(Math.floor(size / 2 ** 32), 0x6c);
    bytes.writeUInt32LE(flags, 0x20);
    bytes.writeUInt16LE(32, 0x80);
    bytes.set(blocks ?? [], 0x28);
  }

  /** A directory in one block. */
  directory(number: number, at: number, entries: Readonly<Record<string, number>>): void {
    this.block(at).set(dirents({ '.': number, ...entries }, BLOCK));
    const blocks = extentNode(0, [{ logical: 0, length: 1, first: at }]);
    this.inode(number, { kind: 'directory', size: BLOCK, flags: EXTENTS, blocks });
  }

  /** A regular file in some blocks that follow each other. */
  file(number: number, first: number, blocks: number): void {
    const tree = extentNode(0, [{ logical: 0, length: blocks, first }]);
    this.inode(number, { kind: 'regular', size: blocks * BLOCK, flags: EXTENTS, blocks: tree });
  }

  /** A block of numbers of blocks. */
  numbers(at: number, numbers: readonly number[]): void {
    for (const [i, number] of numbers.entries()) this.block(at).writeUInt32LE(number, 4 * i);
  }

  /** What does not fit where the block map is: the extended attribute "system.data". Call it after `inode`. */
  inlineRest(number: number, data: Uint8Array): void {
    const bytes = this.inodeBytes(number);
    const begin = 128 + 32;
    const value = 24;
    bytes.writeUInt32LE(0xea02_0000, begin);
    bytes.writeUInt8(4, begin + 4);
    bytes.writeUInt8(7, begin + 5);
    bytes.writeUInt16LE(value, begin + 6);
    bytes.writeUInt32LE(data.length, begin + 12);
    bytes.write('data', begin + 20, 'latin1');
    bytes.set(data, begin + 4 + value);
  }

  /** A symlink whose target is in its inode. */
  link(number: number, target: string): void {
    const blocks = Buffer.from(target, 'latin1');
    this.inode(number, { kind: 'symlink', size: blocks.length, blocks });
  }
}

/** Entries that fill some bytes. */
export function dirents(entries: Readonly<Record<string, number>>, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  let at = 0;
  const all = Object.entries(entries);
  for (const [i, [name, inode]] of all.entries()) {
    const length = i === all.length - 1 ? size - at : 8 + Math.ceil(name.length / 4) * 4;
    bytes.writeUInt32LE(inode, at);
    bytes.writeUInt16LE(length, at + 4);
    bytes.writeUInt8(name.length, at + 6);
    bytes.write(name, at + 8, 'latin1');
    at += length;
  }
  return bytes;
}

/** A node of an extent tree. @param depth 0: a leaf */
export function extentNode(depth: number, extents: readonly WrittenExtent[]): Buffer {
  const bytes = Buffer.alloc(12 + 12 * extents.length);
  bytes.writeUInt16LE(0xf30a, 0);
  bytes.writeUInt16LE(extents.length, 2);
  bytes.writeUInt16LE(extents.length, 4);
  bytes.writeUInt16LE(depth, 6);
  for (const [i, { logical, length = 0, first }] of extents.entries()) {
    const at = 12 + 12 * i;
    const high = Math.floor(first / 2 ** 32);
    bytes.writeUInt32LE(logical, at);
    if (depth === 0) {
      bytes.writeUInt16LE(length, at + 4);
      bytes.writeUInt16LE(high, at + 6);
      bytes.writeUInt32LE(first % 2 ** 32, at + 8);
    } else {
      bytes.writeUInt32LE(first % 2 ** 32, at + 4);
      bytes.writeUInt16LE(high, at + 8);
    }
  }
  return bytes;
}
