// What speaks against a file being a raw disk image, which any file could be: it begins as something
// else does, or its size is no whole number of sectors.

import { readFully, type BlobSource } from '../blob/source.js';
import { SECTOR } from '../lsmt/format.js';

/** What files begin with that hold a disk, or an archive of one, in a form that has to be unpacked. */
const OTHERS: readonly { readonly name: string; readonly begin: string }[] = [
  { name: 'gzip', begin: '\x1f\x8b' },
  { name: 'xz', begin: '\xfd7zXZ\0' },
  { name: 'zstd', begin: '\x28\xb5\x2f\xfd' },
  { name: 'lz4', begin: '\x04\x22\x4d\x18' },
  { name: 'bzip2', begin: 'BZh' },
  { name: 'zip', begin: 'PK\x03\x04' },
  { name: 'qcow2', begin: 'QFI\xfb' },
  { name: 'VMDK', begin: 'KDMV' },
  { name: 'VHDX', begin: 'vhdxfile' },
];
const LONGEST = 8;

/** @returns one sentence for each thing, without the file's name */
export async function rawDiskDoubts(source: BlobSource): Promise<string[]> {
  const doubts: string[] = [];
  const head = await readFully(source, 0, Math.min(source.size, LONGEST));
  const text = head.toString('latin1');
  const other = OTHERS.find(({ begin }) => text.startsWith(begin));
  if (other) {
    const hex = head.toString('hex', 0, other.begin.length);
    doubts.push(`it begins as a ${other.name} file does (${hex}): unpack or convert it first`);
  }
  const rest = source.size % SECTOR;
  if (rest !== 0) {
    doubts.push(
      `its ${source.size} bytes are no whole number of sectors of ${SECTOR} (${rest} are left over): is it complete?`,
    );
  }
  return doubts;
}
