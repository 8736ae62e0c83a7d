// The partitions of a disk. Types only.

import type { FormatProblem } from '../errors.js';

/** A disk that may have a partition table. */
export interface PartitionedDisk {
  /** For messages. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Reads exactly these bytes, which lie within `size`. @throws OverlaybdError if the read fails */
  readonly read: (offset: number, length: number) => Promise<Uint8Array>;
}

export interface Partition {
  /** The number that the kernel gives it: the N of /dev/nbd0pN. */
  readonly number: number;
  /** Bytes. */
  readonly offset: number;
  readonly size: number;
  /** In an MBR a byte ("0x83"), in a GPT a GUID in upper case. */
  readonly type: string;
  /** Empty in an MBR. Hostile text. */
  readonly name: string;
  /** Why the partition cannot be used, or null. */
  readonly problem: FormatProblem | null;
}

export interface PartitionTable {
  readonly kind: 'gpt' | 'mbr';
  /** Bytes. The unit of the table's own numbers. */
  readonly sectorSize: number;
  /** In the order of their numbers. */
  readonly partitions: readonly Partition[];
  /** Defects of the table that do not prevent its use. */
  readonly notes: readonly string[];
}
