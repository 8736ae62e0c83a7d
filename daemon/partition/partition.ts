// What there is to know of a disk's partitions. Types only.

import type { FormatProblem } from '../errors.js';

/** A disk to look for partitions in. */
export interface PartitionedDisk {
  /** For messages. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Exactly these bytes, which lie within `size`. @throws OverlaybdError when they cannot be had */
  readonly read: (offset: number, length: number) => Promise<Uint8Array>;
}

export interface Partition {
  /** As the kernel numbers them: the N of /dev/nbd0pN. */
  readonly number: number;
  /** Bytes. */
  readonly offset: number;
  readonly size: number;
  /** Of the MBR a byte as "0x83", of a GPT a GUID in upper case. */
  readonly type: string;
  /** Only a GPT has names; hostile text. */
  readonly name: string;
  /** Why it cannot be used; null when it can. */
  readonly problem: FormatProblem | null;
}

export interface PartitionTable {
  readonly kind: 'gpt' | 'mbr';
  /** Bytes that the table's numbers count in. */
  readonly sectorSize: number;
  /** In the order of their numbers. */
  readonly partitions: readonly Partition[];
  /** What is wrong with the table and did not keep us from reading it. */
  readonly notes: readonly string[];
}
