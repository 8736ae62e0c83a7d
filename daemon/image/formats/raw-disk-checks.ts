// Reasons to doubt that a file is a raw disk image, since any file could be one: it begins like a file of
// another format, or its size is not a multiple of the sector size.

import { SECTOR } from '../../lsmt/format.js';

interface Kind {
  readonly name: string;
  readonly begin: string;
  /** Of a form that archives and disks are packed in, and no disk has. */
  readonly packed?: Packed;
}

interface Packed {
  /** What follows the first bytes; absent: they are enough. */
  readonly more?: RegExp;
  /** What such files are called. */
  readonly suffix: RegExp;
  /** What unpacks one. */
  readonly by: string;
}

const XZ: Packed = { suffix: /\.t?xz$/i, by: 'xz -d' };
const OLD_LZ4: Packed = { suffix: /\.t?lz4$/i, by: 'lz4 -d' };
// Version 1, and a size of blocks that there is.
const LZ4: Packed = { ...OLD_LZ4, more: /^[\x40-\x7f][\x40\x50\x60\x70]/ };
// The size of blocks, and the magic of the first one.
const BZIP2: Packed = {
  more: /^[1-9]1AY&SY/,
  suffix: /\.(?:bz2|tbz2?)$/i,
  by: 'bzip2 -d',
};
const ZIP: Packed = { suffix: /\.zip$/i, by: 'unzip' };
const SEVEN_ZIP: Packed = { suffix: /\.7z$/i, by: '7z x' };

/** The first bytes of files that hold a disk or an archive in a form that has to be unpacked. */
const OTHERS: readonly Kind[] = [
  { name: 'gzip', begin: '\x1f\x8b' },
  { name: 'xz', begin: '\xfd7zXZ\0', packed: XZ },
  { name: 'zstd', begin: '\x28\xb5\x2f\xfd' },
  { name: 'lz4', begin: '\x04\x22\x4d\x18', packed: LZ4 },
  { name: 'lz4', begin: '\x02\x21\x4c\x18', packed: OLD_LZ4 },
  { name: 'bzip2', begin: 'BZh', packed: BZIP2 },
  { name: 'zip', begin: 'PK\x03\x04', packed: ZIP },
  { name: '7z', begin: '7z\xbc\xaf\x27\x1c', packed: SEVEN_ZIP },
  { name: 'qcow2', begin: 'QFI\xfb' },
  { name: 'VMDK', begin: 'KDMV' },
  { name: 'VMDK', begin: '# Disk DescriptorFile' },
  { name: 'VHDX', begin: 'vhdxfile' },
  { name: 'VHD', begin: 'conectix' },
  { name: 'VDI', begin: '<<< ' },
  { name: 'QED', begin: 'QED\0' },
  { name: 'sparse Android', begin: '\x3a\xff\x26\xed' },
];
/** All of them are within this many bytes. */
const LONGEST = 512;

/**
 * What is wrong with a file that is packed in a way that layers cannot be.
 * @param head its first bytes
 * @returns the end of a sentence that begins with its name; null: it is no such file
 */
export function packedAs(head: Buffer): string | null {
  const kind = packedKind(head);
  if (!kind?.packed) return null;
  const { name, packed } = kind;
  const begin = `it begins as ${article(name)} ${name} file does`;
  return `${begin}: a layer may be plain, in gzip or in zstd, and a disk plain: unpack it first (${packed.by})`;
}

/**
 * Whether a file that may be a disk is surely packed: its name says so, too, or its size is none of a disk. Of any other file
 * {@link rawDiskDoubts} says what it looks like.
 */
export function isSurelyPacked(head: Buffer, size: number, blob: string): boolean {
  const packed = packedKind(head)?.packed;
  return packed !== undefined && (size % SECTOR !== 0 || packed.suffix.test(blob));
}

function packedKind(head: Buffer): Kind | undefined {
  const text = head.toString('latin1', 0, LONGEST);
  return OTHERS.find(({ begin, packed }) => {
    if (!packed || !text.startsWith(begin)) return false;
    return packed.more?.test(text.slice(begin.length)) ?? true;
  });
}

/** Of the name of a format, as it is spoken. */
function article(name: string): string {
  return name === 'xz' || name === 'lz4' ? 'an' : 'a';
}

/**
 * @param head the first 512 bytes of the disk, or more; fewer if it is shorter
 * @param size of the disk in bytes
 * @returns one sentence for each reason, without the name of the file
 */
export function rawDiskDoubts(head: Buffer, size: number): string[] {
  const doubts: string[] = [];
  const text = head.toString('latin1', 0, LONGEST);
  const other = OTHERS.find(({ begin }) => text.startsWith(begin));
  if (other) {
    const { name, begin } = other;
    const hex = head.toString('hex', 0, begin.length);
    doubts.push(
      `it begins as ${article(name)} ${name} file does (${hex}): unpack or convert it first`,
    );
  }
  const rest = size % SECTOR;
  if (rest !== 0) {
    doubts.push(
      `its size of ${size} bytes is not a multiple of ${SECTOR} (${rest} left over): is it complete?`,
    );
  }
  return doubts;
}
