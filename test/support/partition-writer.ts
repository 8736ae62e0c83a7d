// Writers of partition tables for tests: a GPT with its backup, and MBRs with chains of logical partitions. Their
// checksums come from zlib, to compare the daemon's own with.
import { crc32 } from 'node:zlib';

const SECTOR = 512;

export interface GptEntry {
  first: number | bigint;
  last: number | bigint;
  name?: string;
  /** 16 bytes as they are on the disk. */
  type?: Uint8Array;
}

export interface GptOptions {
  sectorSize?: number;
  entryCount?: number;
  entrySize?: number;
  entriesLba?: number | bigint;
  headerSize?: number;
  myLba?: number;
  /** Left out if a test wants no backup. */
  backup?: boolean;
}

/** Linux filesystem data, 0FC63DAF-8483-4772-8E79-3D69D8477DE4. */
const LINUX_DATA = Buffer.from('af3dc60f838472478e793d69d8477de4', 'hex');

/** Writes the protective MBR, the header, the entries, and the backup of both at the end of `disk`. */
export function writeGpt(
  disk: Buffer,
  entries: readonly (GptEntry | null)[],
  options: GptOptions = {},
): void {
  const { sectorSize = 512, entryCount = 128, entrySize = 128, backup = true } = options;
  const sectors = Math.floor(disk.length / sectorSize);
  writeMbr(disk, [{ type: 0xee, begin: 1, count: Math.min(sectors - 1, 0xffff_ffff) }]);
  const list = Buffer.alloc(Math.min(entryCount * entrySize, 1 << 20));
  entries.forEach((entry, i) => {
    if (!entry) return;
    const at = i * entrySize;
    list.set(entry.type ?? LINUX_DATA, at);
    list.fill(i + 1, at + 16, at + 32);
    list.writeBigUInt64LE(BigInt(entry.first), at + 32);
    list.writeBigUInt64LE(BigInt(entry.last), at + 40);
    list.write(entry.name ?? '', at + 56, 72, 'utf16le');
  });
  const listSectors = Math.ceil(list.length / sectorSize);
  const header = (myLba: number, otherLba: number, entriesLba: number | bigint): Buffer => {
    const bytes = Buffer.alloc(sectorSize);
    bytes.write('EFI PART', 'latin1');
    bytes.writeUInt32LE(0x10000, 8);
    const size = options.headerSize ?? 92;
    bytes.writeUInt32LE(size, 12);
    bytes.writeBigUInt64LE(BigInt(options.myLba ?? myLba), 24);
    bytes.writeBigUInt64LE(BigInt(otherLba), 32);
    bytes.writeBigUInt64LE(BigInt(2 + listSectors), 40);
    bytes.writeBigUInt64LE(BigInt(Math.max(0, sectors - listSectors - 2)), 48);
    bytes.writeBigUInt64LE(BigInt(options.entriesLba ?? entriesLba), 72);
    bytes.writeUInt32LE(entryCount, 80);
    bytes.writeUInt32LE(entrySize, 84);
    bytes.writeUInt32LE(crc32(list), 88);
    bytes.writeUInt32LE(crc32(bytes.subarray(0, Math.min(size, sectorSize))), 16);
    return bytes;
  };
  disk.set(list, 2 * sectorSize);
  disk.set(header(1, sectors - 1, 2), sectorSize);
  if (!backup) return;
  const copyAt = sectors - 1 - listSectors;
  disk.set(list, copyAt * sectorSize);
  disk.set(header(sectors - 1, 1, copyAt), (sectors - 1) * sectorSize);
}

/** Recomputes the checksum of a GPT header that a test has changed. */
export function sealGptHeader(disk: Buffer, at: number): void {
  disk.writeUInt32LE(0, at + 16);
  const size = Math.min(disk.readUInt32LE(at + 12), disk.length - at);
  disk.writeUInt32LE(crc32(disk.subarray(at, at + size)), at + 16);
}

export interface MbrEntry {
  type: number;
  begin: number;
  count: number;
  bootable?: number;
}

/** Writes the entries of a boot record in sector `at`: 0, or of an extended one. */
export function writeMbr(disk: Buffer, entries: readonly (MbrEntry | null)[], at = 0): void {
  const record = disk.subarray(at * SECTOR, (at + 1) * SECTOR);
  record.fill(0, 446, 510);
  entries.forEach((entry, i) => {
    if (!entry) return;
    const offset = 446 + 16 * i;
    record[offset] = entry.bootable ?? 0;
    record[offset + 4] = entry.type;
    record.writeUInt32LE(entry.begin, offset + 8);
    record.writeUInt32LE(entry.count, offset + 12);
  });
  record.writeUInt16LE(0xaa55, 510);
}
