// Reasons to doubt that a file is a raw disk image, since any file could be one: it begins like a file of
// another format, or its size is not a multiple of the sector size.

import { SECTOR } from '../../lsmt/format.js';

interface Kind {
  readonly name: string;
  readonly begin: string;
}

/** The first bytes of files that hold a disk or an archive in a form that has to be unpacked. */
const OTHERS: readonly Kind[] = [
  { name: 'gzip', begin: '\x1f\x8b' },
  { name: 'xz', begin: '\xfd7zXZ\0' },
  { name: 'zstd', begin: '\x28\xb5\x2f\xfd' },
  { name: 'lz4', begin: '\x04\x22\x4d\x18' },
  { name: 'lz4', begin: '\x02\x21\x4c\x18' },
  { name: 'bzip2', begin: 'BZh' },
  { name: 'zip', begin: 'PK\x03\x04' },
  { name: '7z', begin: '7z\xbc\xaf\x27\x1c' },
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
    doubts.push(`it begins as a ${name} file does (${hex}): unpack or convert it first`);
  }
  const rest = size % SECTOR;
  if (rest !== 0) {
    doubts.push(
      `its size of ${size} bytes is not a multiple of ${SECTOR} (${rest} left over): is it complete?`,
    );
  }
  return doubts;
}
