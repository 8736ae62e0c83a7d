// Reads the partition table of a master boot record: four entries in sector 0, and logical partitions
// in a chain of further records within an extended partition. Follows the rules of Linux, so that
// partition N is /dev/nbd0pN there. Sectors are 512 bytes.

import { formatError, type FormatProblem } from '../errors.js';
import { viewOf } from '../lib/bytes.js';
import type { Partition, PartitionTable, PartitionedDisk } from './partition.js';

const MBR_SECTOR = 512;
const ENTRIES_AT = 446;
const ENTRY_SIZE = 16;
const ENTRIES = 4;
const SIGNATURE_AT = 510;
const SIGNATURE = 0xaa55;
/** Types of extended partitions: CHS, LBA, Linux. */
const EXTENDED_TYPES = [0x05, 0x0f, 0x85];
/** The entry that protects a GPT from programs that know only the MBR. It begins in sector 1. */
const PROTECTIVE_TYPE = 0xee;
const GPT_SECTOR = 1;
const FIRST_LOGICAL = 5;
/** Logical partitions of a disk. Linux numbers up to 256 partitions of a disk in all. */
export const MAX_LOGICAL = 251;

interface Entry {
  /** Byte offset of the entry on the disk. */
  readonly at: number;
  readonly bootable: number;
  readonly type: number;
  /** Sectors, relative to the boot record or to the extended partition: see readLogical(). */
  readonly begin: number;
  readonly count: number;
}

/** The sector with the table. */
export interface BootRecord {
  readonly entries: readonly Entry[];
}

/** @returns null if sector 0 is not a master boot record, or is the boot sector of a file system */
export async function bootRecordOf(disk: PartitionedDisk): Promise<BootRecord | null> {
  if (disk.size < MBR_SECTOR) return null;
  const record = parseRecord(await disk.read(0, MBR_SECTOR), 0);
  // The boot sector of a file system has the signature too, but code instead of the entries.
  if (!record || record.entries.some(({ bootable }) => (bootable & 0x7f) !== 0)) return null;
  return record.entries.some(({ count }) => count > 0) ? record : null;
}

export function hasGptEntry({ entries }: BootRecord): boolean {
  return entries.some(({ type, begin }) => type === PROTECTIVE_TYPE && begin === GPT_SECTOR);
}

function parseRecord(bytes: Uint8Array, offset: number): BootRecord | null {
  const view = viewOf(bytes);
  if (view.getUint16(SIGNATURE_AT, true) !== SIGNATURE) return null;
  const entries = Array.from({ length: ENTRIES }, (_, i): Entry => {
    const at = ENTRIES_AT + i * ENTRY_SIZE;
    return {
      at: offset + at,
      bootable: view.getUint8(at),
      type: view.getUint8(at + 4),
      begin: view.getUint32(at + 8, true),
      count: view.getUint32(at + 12, true),
    };
  });
  return { entries };
}

export async function readMbr(disk: PartitionedDisk, record: BootRecord): Promise<PartitionTable> {
  const partitions: Partition[] = [];
  const notes: string[] = [];
  let extended: Entry | null = null;
  record.entries.forEach((entry, i) => {
    if (entry.count === 0) return;
    const number = i + 1;
    if (!EXTENDED_TYPES.includes(entry.type)) {
      partitions.push(partitionOf(disk, number, entry, 0));
      return;
    }
    const problem: FormatProblem = {
      blob: disk.name,
      section: sectionOf(number),
      offset: entry.at + 4,
      expected: `a partition with data (logical partitions have numbers from ${FIRST_LOGICAL} on)`,
      got: `an extended partition (type ${typeText(entry.type)})`,
    };
    partitions.push({ ...partitionOf(disk, number, entry, 0), problem });
    // Like Linux, follow only the chain of the first extended partition.
    extended ??= entry;
  });
  if (extended) await readLogical(disk, extended, partitions, notes);
  return { kind: 'mbr', sectorSize: MBR_SECTOR, partitions, notes };
}

/**
 * Follows the chain of records. Each record has one partition and a link to the next record. The sectors
 * of the partition count from the record, those of the link from the beginning of the extended partition.
 * @param notes gets the reason if the chain cannot be followed to its end
 */
async function readLogical(
  disk: PartitionedDisk,
  extended: Entry,
  partitions: Partition[],
  notes: string[],
): Promise<void> {
  const first = extended.begin;
  const sectors = Math.floor(disk.size / MBR_SECTOR);
  const seen = new Set<number>();
  let count = 0;
  for (let at = first, from = extended.at, record = 0; ; record++) {
    const stop = (expected: string, got: string | number): void => {
      const section = `mbr extended boot record ${record}`;
      notes.push(formatError({ blob: disk.name, section, offset: from, expected, got }).message);
    };
    if (at >= sectors) return stop(`a sector below ${sectors}, the end of the disk`, at);
    if (seen.has(at)) return stop('a record that was not read before', `sector ${at} again`);
    seen.add(at);
    const parsed = parseRecord(await disk.read(at * MBR_SECTOR, MBR_SECTOR), at * MBR_SECTOR);
    if (!parsed) return stop('0x55aa at its end', `none in sector ${at}`);
    const used = parsed.entries.filter((entry) => entry.count > 0);
    const link = used.find(({ type }) => EXTENDED_TYPES.includes(type));
    for (const entry of used.filter(({ type }) => !EXTENDED_TYPES.includes(type))) {
      if (count === MAX_LOGICAL) return stop(`at most ${MAX_LOGICAL} logical partitions`, 'more');
      partitions.push(partitionOf(disk, FIRST_LOGICAL + count, entry, at));
      count++;
    }
    if (!link) return;
    if (seen.size > MAX_LOGICAL) return stop(`at most ${MAX_LOGICAL} records`, 'more');
    at = first + link.begin;
    from = link.at + 8;
  }
}

/** @param base the sector from which `entry.begin` counts */
function partitionOf(disk: PartitionedDisk, number: number, entry: Entry, base: number): Partition {
  const sectors = Math.floor(disk.size / MBR_SECTOR);
  const begin = base + entry.begin;
  const end = begin + entry.count;
  return {
    number,
    offset: begin * MBR_SECTOR,
    size: entry.count * MBR_SECTOR,
    type: typeText(entry.type),
    name: '',
    problem:
      end <= sectors
        ? null
        : {
            blob: disk.name,
            section: sectionOf(number),
            offset: entry.at + 8,
            expected: `sectors below ${sectors}, the end of the disk`,
            got: `sectors ${begin} to ${end - 1}`,
          },
  };
}

function sectionOf(number: number): string {
  return `mbr partition ${number}`;
}

function typeText(type: number): string {
  return `0x${type.toString(16).padStart(2, '0')}`;
}
