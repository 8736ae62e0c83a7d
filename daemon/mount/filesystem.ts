// Detects which file system a device holds, by its superblock. Mounts nothing. Offsets and magic numbers
// are those of the kernel's headers.

import { OverlaybdError } from '../errors.js';
import { nameForeignData } from './foreign-data.js';

export type Filesystem = 'ext4' | 'xfs' | 'erofs' | 'squashfs' | 'btrfs';

/** What `mount` needs to know from a superblock. */
export interface Detected {
  readonly type: Filesystem;
  /** Bytes. A device with larger logical blocks cannot be mounted. */
  readonly blockSize: number;
  /** Of a btrfs, which identifies its devices by it: as /sys/fs/btrfs prints it. Else null. */
  readonly fsid: string | null;
}

/** Reads bytes of the device. Returns fewer than `length` only at the end of the device. */
export type ReadAt = (offset: number, length: number) => Promise<Uint8Array>;

/** Up to the end of the superblock of btrfs, which has the greatest offset. */
const HEAD_LENGTH = 68 * 1024;
const EXT_AT = 1024;
const EROFS_AT = 1024;
const BTRFS_AT = 64 * 1024;

interface Superblock {
  readonly type: Filesystem;
  /** Bytes of the shortest device that has all fields below. */
  readonly end: number;
  readonly hasMagic: (head: Buffer) => boolean;
  /** Whether other fields have possible values too: a magic alone may be there by chance. */
  readonly isSane: (head: Buffer) => boolean;
  /** Call this only if the superblock is sane. */
  readonly blockSize: (head: Buffer) => number;
}

const SUPERBLOCKS: readonly Superblock[] = [
  {
    // ext2 and ext3 too: the kernel's ext4 driver mounts them.
    type: 'ext4',
    end: EXT_AT + 1024,
    hasMagic: (head) => head.readUInt16LE(EXT_AT + 56) === 0xef53,
    isSane: (head) =>
      head.readUInt32LE(EXT_AT) > 0 && // inodes
      head.readUInt32LE(EXT_AT + 4) > 0 && // blocks
      head.readUInt32LE(EXT_AT + 24) <= 6 && // blocks of at most 64 KiB
      (head.readUInt32LE(EXT_AT + 96) & 0x8) === 0, // not an external journal
    blockSize: (head) => 1024 << head.readUInt32LE(EXT_AT + 24),
  },
  {
    type: 'xfs',
    end: 512,
    hasMagic: (head) => head.toString('latin1', 0, 4) === 'XFSB',
    isSane: (head) =>
      isPowerOfTwo(head.readUInt32BE(4), 512, 65536) && [4, 5].includes(head[101]! & 0xf),
    blockSize: (head) => head.readUInt16BE(102), // its sector size
  },
  {
    type: 'erofs',
    end: EROFS_AT + 128,
    hasMagic: (head) => head.readUInt32LE(EROFS_AT) === 0xe0f5e1e2,
    isSane: (head) => head[EROFS_AT + 12]! >= 9 && head[EROFS_AT + 12]! <= 16, // log2 of a block
    blockSize: (head) => 1 << head[EROFS_AT + 12]!,
  },
  {
    type: 'squashfs',
    end: 96,
    hasMagic: (head) => head.toString('latin1', 0, 4) === 'hsqs',
    isSane: (head) =>
      head.readUInt16LE(28) === 4 && // version
      head.readUInt16LE(22) <= 20 &&
      head.readUInt32LE(12) === 2 ** head.readUInt16LE(22), // the block size and its log2
    blockSize: () => 4096, // Linux mounts it with any block size of the device
  },
  {
    type: 'btrfs',
    end: BTRFS_AT + 4096,
    hasMagic: (head) => head.toString('latin1', BTRFS_AT + 64, BTRFS_AT + 72) === '_BHRfS_M',
    isSane: (head) =>
      head.readBigUInt64LE(BTRFS_AT + 48) === BigInt(BTRFS_AT) && // its own offset
      isPowerOfTwo(head.readUInt32LE(BTRFS_AT + 144), 4096, 65536),
    blockSize: (head) => head.readUInt32LE(BTRFS_AT + 144),
  },
];

/**
 * Detects the file system.
 * @param name the device, for messages
 * @throws OverlaybdError UNSUPPORTED if there is no file system, more than one, or one that `mount` does
 *   not support; the message says what is there
 */
export async function detectFilesystem(name: string, read: ReadAt): Promise<Detected> {
  const head = Buffer.from(await read(0, HEAD_LENGTH));
  const present = SUPERBLOCKS.filter(({ end, hasMagic }) => head.length >= end && hasMagic(head));
  const sane = present.filter(({ isSane }) => isSane(head));
  const [first, second] = sane;
  if (first && second) {
    const types = sane.map(({ type }) => type).join(' and ');
    throw refused(
      name,
      `it has superblocks of ${types}: attach it, and mount the right one by hand`,
    );
  }
  if (first) {
    if (first.type === 'btrfs') checkDevices(name, head);
    const fsid = first.type === 'btrfs' ? uuidAt(head, BTRFS_AT + 32) : null;
    return { type: first.type, blockSize: first.blockSize(head), fsid };
  }
  const [damaged] = present;
  if (damaged) {
    const what = `the magic number of ${damaged.type}, but the rest of the superblock is not valid`;
    throw refused(name, `it has ${what}; check the image with overlaybd-nbd verify`);
  }
  throw refused(name, nameForeignData(head));
}

/** A btrfs with several devices has data on devices that are not in the image. */
function checkDevices(name: string, head: Buffer): void {
  const devices = head.readBigUInt64LE(BTRFS_AT + 136);
  if (devices <= 1n) return;
  throw refused(
    name,
    `it is one of the ${devices} devices of a btrfs; only a btrfs with one device can be mounted`,
  );
}

function uuidAt(head: Buffer, at: number): string {
  const hex = head.toString('hex', at, at + 16);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function isPowerOfTwo(value: number, least: number, most: number): boolean {
  return value >= least && value <= most && Number.isInteger(Math.log2(value));
}

function refused(name: string, facts: string): OverlaybdError {
  return new OverlaybdError('UNSUPPORTED', `${name}: cannot be mounted: ${facts}`);
}
