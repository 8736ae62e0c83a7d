// Finds the partition table of a disk, and a partition by its number. The limits in gpt.ts and mbr.ts
// bound how much it reads.

import { OverlaybdError, formatError } from '../errors.js';
import { readGpt } from './gpt.js';
import { bootRecordOf, hasGptEntry, readMbr } from './mbr.js';
import type { Partition, PartitionTable, PartitionedDisk } from './partition.js';

/**
 * Looks for a partition table.
 * @returns null if there is none, as on a disk that holds one file system
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM or LIMIT if neither copy of a GPT is good
 */
export async function readPartitionTable(disk: PartitionedDisk): Promise<PartitionTable | null> {
  const record = await bootRecordOf(disk);
  if (!record) return null;
  return hasGptEntry(record) ? readGpt(disk) : readMbr(disk, record);
}

/**
 * Finds the partition of a number.
 * @throws OverlaybdError NOT_FOUND if there is none, BAD_FORMAT if it cannot be used, and what
 *   {@link readPartitionTable} throws
 */
export async function findPartition(disk: PartitionedDisk, number: number): Promise<Partition> {
  const table = await readPartitionTable(disk);
  if (!table) {
    throw new OverlaybdError(
      'NOT_FOUND',
      `${disk.name}: partition ${number}: the disk has no partition table (neither GPT nor MBR)`,
      { facts: { blob: disk.name } },
    );
  }
  const partition = table.partitions.find((candidate) => candidate.number === number);
  if (!partition) {
    const numbers = table.partitions.map((other) => other.number).join(', ');
    const there = numbers === '' ? 'it has none' : `it has ${numbers}`;
    const notes = table.notes.map((note) => `; ${note}`).join('');
    throw new OverlaybdError(
      'NOT_FOUND',
      `${disk.name}: partition ${number}: not in the ${table.kind} partition table: ${there}${notes}`,
      { facts: { blob: disk.name } },
    );
  }
  if (partition.problem) throw formatError(partition.problem);
  return partition;
}
