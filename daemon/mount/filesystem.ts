// Which file system a device holds, by its superblock; mounts nothing. Offsets and magic numbers
// are those of the kernel's own headers.

import { OverlaybdError } from '../errors.js';
import { nameForeignData } from './foreign-data.js';

export type Filesystem = 'ext4' | 'xfs' | 'erofs' | 'squashfs' | 'btrfs';

/** What a superblock says that `mount` has to know. */
export interface Detected {
  readonly type: Filesystem;
  /** Bytes that it reads at a time; a device with larger blocks cannot be mounted. */
  readonly blockSize: number;
  /** Of btrfs, which knows its devices by it: in the form of /sys/fs/btrfs. Else null. */
  readonly fsid: string | null;
}

/** The bytes of the device from `offset` on: fewer than `length` only where the device ends. */
export type ReadAt = (offset: number, length: number) => Promise<Uint8Array>;

/** Up to the end of the superblock that lies furthest in, that of btrfs. */
const HEAD_LENGTH = 68 * 1024;
const EXT_AT = 1024;
const EROFS_AT = 1024;
const BTRFS_AT = 64 * 1024;

interface Superblock {
  readonly type: Filesystem;
  /** Shortest device on which the fields below exist. */
  readonly end: number;
  readonly hasMagic: (head: Buffer) => boolean;
  /** Whether fields that every superblock of the kind has make sense; a magic alone may be chance. */
  readonly isSane: (head: Buffer) => boolean;
  /** Of a superblock that is sane. */
  readonly blockSize: (head: Buffer) => number;
}

const SUPERBLOCKS: readonly Superblock[] = [
  {
    // ext2 and ext3 too: the kernel's ext4 takes them.
    type: 'ext4',
    end: EXT_AT + 1024,
    hasMagic: (head) => head.readUInt16LE(EXT_AT + 56) === 0xef53,
    isSane: (head) =>
      head.readUInt32LE(EXT_AT) > 0 && // inodes
      head.readUInt32LE(EXT_AT + 4) > 0 && // blocks
      head.readUInt32LE(EXT_AT + 24) <= 6 && // blocks of at most 64 KiB
      (head.readUInt32LE(EXT_AT + 96) & 0x8) === 0, // not a journal on a device of its own
    blockSize: (head) => 1024 << head.readUInt32LE(EXT_AT + 24),
  },
  {
    type: 'xfs',
    end: 512,
    hasMagic: (head) => head.toString('latin1', 0, 4) === 'XFSB',
    isSane: (head) =>
      isPowerOfTwo(head.readUInt32BE(4), 512, 65536) && [4, 5].includes(head[101]! & 0xf),
    blockSize: (head) => head.readUInt16BE(102), // a sector
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
      head.readUInt32LE(12) === 2 ** head.readUInt16LE(22), // a block, and its log2
    blockSize: () => 4096, // Linux takes whatever the device has
  },
  {
    type: 'btrfs',
    end: BTRFS_AT + 4096,
    hasMagic: (head) => head.toString('latin1', BTRFS_AT + 64, BTRFS_AT + 72) === '_BHRfS_M',
    isSane: (head) =>
      head.readBigUInt64LE(BTRFS_AT + 48) === BigInt(BTRFS_AT) && // where it says that it is
      isPowerOfTwo(head.readUInt32LE(BTRFS_AT + 144), 4096, 65536),
    blockSize: (head) => head.readUInt32LE(BTRFS_AT + 144),
  },
];

/**
 * @param name how messages call the device
 * @throws OverlaybdError UNSUPPORTED when there is no file system, one that we cannot mount, or
 *   more than one; the message says what is there
 */
export async function detectFilesystem(name: string, read: ReadAt): Promise<Detected> {
  const head = Buffer.from(await read(0, HEAD_LENGTH));
  const present = SUPERBLOCKS.filter((each) => head.length >= each.end && each.hasMagic(head));
  const sane = present.filter((each) => each.isSane(head));
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
    const what = `the superblock of an ${damaged.type} that is damaged, or no file system`;
    throw refused(name, `it has ${what}; check the image with overlaybd-nbd verify`);
  }
  throw refused(name, nameForeignData(head));
}

/** Parts of such a file system are on devices that an image does not have. */
function checkDevices(name: string, head: Buffer): void {
  const devices = head.readBigUInt64LE(BTRFS_AT + 136);
  if (devices <= 1n) return;
  throw refused(
    name,
    `it is one of the ${devices} devices of a btrfs; only one of one can be mounted`,
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
