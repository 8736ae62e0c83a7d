// Reads a GUID partition table (UEFI 2.10, chapter 5): a header in sector 1 and a backup header in the
// last sector. Each has a checksum, and a list of entries that has one too. Like Linux, uses the backup
// if the first header is broken.

import { OverlaybdError, formatError, messageOf, type FormatProblem } from '../errors.js';
import { hex32, viewOf } from '../lib/bytes.js';
import { crc32 } from './crc32.js';
import type { Partition, PartitionTable, PartitionedDisk } from './partition.js';

/** An image does not record its sector size, so the header is searched at both sizes. */
const SECTOR_SIZES = [512, 4096] as const;
const SIGNATURE = 'EFI PART';
const MIN_HEADER_SIZE = 92;
const FIELD = {
  headerSize: 12,
  headerCrc: 16,
  myLba: 24,
  entriesLba: 72,
  entryCount: 80,
  entrySize: 84,
  entriesCrc: 88,
} as const;
/** Offsets in an entry. An unused entry has a type of all zeros. */
const ENTRY = { type: 0, firstLba: 32, lastLba: 40, name: 56 } as const;
const NAME_SIZE = 72;
const MIN_ENTRY_SIZE = 128;
export const MAX_ENTRY_SIZE = 4096;
/** Partitioning tools make 128. Times the largest entry size, this limits the list to 4 MiB. */
export const MAX_GPT_ENTRIES = 1024;

interface Place {
  readonly copy: 'header' | 'backup header';
  readonly sectorSize: number;
  /** The sector of the header. */
  readonly lba: number;
}

/** @throws OverlaybdError for the first broken header, if neither copy is good */
export async function readGpt(disk: PartitionedDisk): Promise<PartitionTable> {
  let broken: OverlaybdError | null = null;
  for (const copy of ['header', 'backup header'] as const) {
    for (const sectorSize of SECTOR_SIZES) {
      const sectors = Math.floor(disk.size / sectorSize);
      const lba = copy === 'header' ? 1 : sectors - 1;
      if (lba < 1 || lba >= sectors) continue;
      const place = { copy, sectorSize, lba };
      const header = await disk.read(lba * sectorSize, sectorSize);
      if (Buffer.from(header.subarray(0, SIGNATURE.length)).toString('latin1') !== SIGNATURE) {
        continue;
      }
      try {
        const partitions = await readCopy(disk, header, place);
        const notes = copy === 'header' ? [] : [backupNote(disk, broken)];
        return { kind: 'gpt', sectorSize, partitions, notes };
      } catch (error) {
        // A read error does not mean that the table is broken.
        if (!(error instanceof OverlaybdError) || !isFormatError(error)) throw error;
        broken ??= error;
      }
    }
  }
  throw (
    broken ??
    formatError({
      blob: disk.name,
      section: 'gpt header',
      offset: SECTOR_SIZES[0],
      expected: `${JSON.stringify(SIGNATURE)}, as the protective MBR says, here or in the last sector`,
      got: 'something else',
    })
  );
}

function isFormatError({ code }: OverlaybdError): boolean {
  return code === 'BAD_FORMAT' || code === 'BAD_CHECKSUM' || code === 'LIMIT';
}

function backupNote(disk: PartitionedDisk, broken: OverlaybdError | null): string {
  const why = broken ? messageOf(broken) : `${disk.name}: gpt header: not in sector 1`;
  return `${why}; its copy at the end of the disk is used`;
}

/** Checks a header and reads its entries. @throws OverlaybdError for the first broken rule */
async function readCopy(
  disk: PartitionedDisk,
  header: Uint8Array,
  { copy, sectorSize, lba }: Place,
): Promise<Partition[]> {
  const view = viewOf(header);
  const sectors = Math.floor(disk.size / sectorSize);
  const check = (good: boolean, field: number, what: string, rule: Rule): void => {
    if (good) return;
    const offset = lba * sectorSize + field;
    throw formatError({ blob: disk.name, section: `gpt ${copy} ${what}`, offset, ...rule });
  };

  const headerSize = view.getUint32(FIELD.headerSize, true);
  check(headerSize >= MIN_HEADER_SIZE && headerSize <= sectorSize, FIELD.headerSize, 'size', {
    expected: `${MIN_HEADER_SIZE} to ${sectorSize} bytes`,
    got: headerSize,
  });
  const recorded = view.getUint32(FIELD.headerCrc, true);
  const copyOfHeader = Uint8Array.from(header.subarray(0, headerSize));
  copyOfHeader.fill(0, FIELD.headerCrc, FIELD.headerCrc + 4);
  const actual = crc32(copyOfHeader);
  check(actual === recorded, FIELD.headerCrc, 'checksum', mismatch(recorded, actual));
  const myLba = view.getBigUint64(FIELD.myLba, true);
  check(myLba === BigInt(lba), FIELD.myLba, 'own sector', { expected: `${lba}`, got: `${myLba}` });

  const count = view.getUint32(FIELD.entryCount, true);
  check(count <= MAX_GPT_ENTRIES, FIELD.entryCount, 'number of entries', {
    expected: `at most ${MAX_GPT_ENTRIES}`,
    got: count,
    code: 'LIMIT',
  });
  const entrySize = view.getUint32(FIELD.entrySize, true);
  const isPowerOfTwo = (entrySize & (entrySize - 1)) === 0;
  const goodSize = entrySize >= MIN_ENTRY_SIZE && entrySize <= MAX_ENTRY_SIZE && isPowerOfTwo;
  check(goodSize, FIELD.entrySize, 'size of an entry', {
    expected: `a power of two from ${MIN_ENTRY_SIZE} to ${MAX_ENTRY_SIZE}`,
    got: entrySize,
  });
  const entriesLba = view.getBigUint64(FIELD.entriesLba, true);
  const length = count * entrySize;
  const lastSector = entriesLba + BigInt(Math.ceil(length / sectorSize)) - 1n;
  const overlaps = entriesLba <= BigInt(lba) && lastSector >= BigInt(lba);
  const isInside = entriesLba >= 2n && lastSector < BigInt(sectors) && !overlaps;
  check(isInside, FIELD.entriesLba, 'place of the entries', {
    expected: `sectors from 2 to ${sectors - 1} without the header's own, ${lba}`,
    got: `sectors ${entriesLba} to ${lastSector}`,
  });
  const offset = Number(entriesLba) * sectorSize;
  const entries = length === 0 ? new Uint8Array(0) : await disk.read(offset, length);
  const recordedEntries = view.getUint32(FIELD.entriesCrc, true);
  const actualEntries = crc32(entries);
  check(
    actualEntries === recordedEntries,
    FIELD.entriesCrc,
    'checksum of the entries',
    mismatch(recordedEntries, actualEntries),
  );
  return parseEntries(disk, entries, { entrySize, sectorSize, offset });
}

type Rule = Pick<FormatProblem, 'expected' | 'got' | 'code'>;

function mismatch(recorded: number, actual: number): Rule {
  return { expected: hex32(recorded), got: hex32(actual), code: 'BAD_CHECKSUM' };
}

function parseEntries(
  disk: PartitionedDisk,
  bytes: Uint8Array,
  { entrySize, sectorSize, offset }: { entrySize: number; sectorSize: number; offset: number },
): Partition[] {
  const sectors = BigInt(Math.floor(disk.size / sectorSize));
  const partitions: Partition[] = [];
  for (let at = 0; at < bytes.length; at += entrySize) {
    const entry = bytes.subarray(at, at + entrySize);
    if (entry.subarray(ENTRY.type, ENTRY.type + 16).every((byte) => byte === 0)) continue;
    const view = viewOf(entry);
    const first = view.getBigUint64(ENTRY.firstLba, true);
    const last = view.getBigUint64(ENTRY.lastLba, true);
    const number = at / entrySize + 1;
    const good = first >= 1n && first <= last && last < sectors;
    partitions.push({
      number,
      // The sector numbers of a bad partition may not even fit a number.
      offset: good ? Number(first) * sectorSize : 0,
      size: good ? Number(last - first + 1n) * sectorSize : 0,
      type: guidOf(view, ENTRY.type),
      name: nameOf(entry),
      problem: good
        ? null
        : {
            blob: disk.name,
            section: `gpt partition ${number}`,
            offset: offset + at + ENTRY.firstLba,
            expected: `sectors from 1 to ${sectors - 1n}, the last of the disk, in order`,
            got: `sectors ${first} to ${last}`,
          },
    });
  }
  return partitions;
}

/** A GUID as text. Its first three fields are little-endian, the other bytes are in order. */
function guidOf(view: DataView, at: number): string {
  const tail = Array.from({ length: 8 }, (_, i) => hex(view.getUint8(at + 8 + i), 2)).join('');
  return [
    hex(view.getUint32(at, true), 8),
    hex(view.getUint16(at + 4, true), 4),
    hex(view.getUint16(at + 6, true), 4),
    tail.slice(0, 4),
    tail.slice(4),
  ]
    .join('-')
    .toUpperCase();
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

/** The name: UTF-16 up to the first NUL. */
function nameOf(entry: Uint8Array): string {
  const text = Buffer.from(entry.subarray(ENTRY.name, ENTRY.name + NAME_SIZE)).toString('utf16le');
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}
