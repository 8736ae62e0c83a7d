// The partitions of a disk: which table it has, and the one that a number names. Reads only through
// the function that it is given, and only what is bounded by the limits in gpt.ts and mbr.ts.

import { OverlaybdError, formatError } from '../errors.js';
import { readGpt } from './gpt.js';
import { bootRecordOf, hasGptEntry, readMbr } from './mbr.js';
import type { Partition, PartitionTable, PartitionedDisk } from './partition.js';

/**
 * Looks for a partition table.
 * @returns null when there is none, as on a disk that is one file system
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, LIMIT for a GPT of which no copy is good
 */
export async function readPartitionTable(disk: PartitionedDisk): Promise<PartitionTable | null> {
  const record = await bootRecordOf(disk);
  if (!record) return null;
  return hasGptEntry(record) ? readGpt(disk) : readMbr(disk, record);
}

/**
 * The partition of a number.
 * @throws OverlaybdError NOT_FOUND when there is none, BAD_FORMAT when it cannot be used, and what
 *   {@link readPartitionTable} throws
 */
export async function findPartition(disk: PartitionedDisk, number: number): Promise<Partition> {
  const table = await readPartitionTable(disk);
  if (!table) {
    throw new OverlaybdError(
      'NOT_FOUND',
      `${disk.name}: partition ${number}: the disk has no partition table (neither GPT nor MBR)`,
    );
  }
  const found = table.partitions.find((each) => each.number === number);
  if (!found) {
    const numbers = table.partitions.map((each) => each.number).join(', ');
    const there = numbers === '' ? 'it has none' : `it has ${numbers}`;
    const notes = table.notes.map((note) => `; ${note}`).join('');
    throw new OverlaybdError(
      'NOT_FOUND',
      `${disk.name}: partition ${number}: not in the ${table.kind} partition table: ${there}${notes}`,
    );
  }
  if (found.problem) throw formatError(found.problem);
  return found;
}
