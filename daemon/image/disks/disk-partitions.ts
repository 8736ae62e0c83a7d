// The bytes and the partition table of a disk that can be read on this thread.

import type { Disk } from '../../lib/disk.js';
import { readLoaded } from '../../lib/loaded.js';
import type { Partition, PartitionTable, PartitionedDisk } from '../../partition/partition.js';
import { findPartition, readPartitionTable } from '../../partition/table.js';

/** @throws OverlaybdError: see partition/table.ts, and what the disk throws when it is read */
export function partitionTableOf(disk: Disk, name: string): Promise<PartitionTable | null> {
  return readPartitionTable(partitioned(disk, name));
}

/** @throws OverlaybdError: see partition/table.ts, and what the disk throws when it is read */
export function partitionOf(disk: Disk, name: string, number: number): Promise<Partition> {
  return findPartition(partitioned(disk, name), number);
}

/** @throws OverlaybdError if the bytes cannot be read */
export async function readDisk(disk: Disk, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const cursor = { hint: 0 };
  await readLoaded(disk, offset, length, () => disk.read(offset, length, bytes, 0, cursor));
  return bytes;
}

function partitioned(disk: Disk, name: string): PartitionedDisk {
  const read = (offset: number, length: number): Promise<Buffer> => readDisk(disk, offset, length);
  return { name, size: disk.size, read };
}
