// The partition table of a device that can be read on this thread.

import { readLoaded } from '../lib/loaded.js';
import type { Partition, PartitionTable, PartitionedDisk } from '../partition/partition.js';
import { findPartition, readPartitionTable } from '../partition/table.js';
import type { Device } from './device.js';

/** @throws OverlaybdError: see partition/table.ts, and what the device throws when it is read */
export function partitionTableOf(device: Device, name: string): Promise<PartitionTable | null> {
  return readPartitionTable(diskOf(device, name));
}

/** @throws OverlaybdError: see partition/table.ts, and what the device throws when it is read */
export function partitionOf(device: Device, name: string, number: number): Promise<Partition> {
  return findPartition(diskOf(device, name), number);
}

function diskOf(device: Device, name: string): PartitionedDisk {
  return {
    name,
    size: device.size,
    read: async (offset, length) => {
      const bytes = Buffer.alloc(length);
      const cursor = { hint: 0 };
      await readLoaded(device, offset, length, () => device.read(bytes, 0, length, offset, cursor));
      return bytes;
    },
  };
}
