// A disk in memory for tests of partition tables; it records reads, and refuses reads outside itself.
import type { PartitionedDisk } from '../../daemon/partition/partition.js';

export interface MemoryDisk extends PartitionedDisk {
  /** Bytes that were read so far, and the number of reads. */
  readonly done: { bytes: number; reads: number };
}

export function memoryDisk(bytes: Uint8Array, name = 'disk', size = bytes.length): MemoryDisk {
  const done = { bytes: 0, reads: 0 };
  const read = (offset: number, length: number): Promise<Uint8Array> => {
    if (!Number.isSafeInteger(offset) || offset < 0 || length < 0 || offset + length > size) {
      throw new Error(`a read of ${length} bytes at ${offset} of a disk of ${size}`);
    }
    done.bytes += length;
    done.reads++;
    const out = new Uint8Array(length);
    out.set(bytes.subarray(offset, offset + length));
    return Promise.resolve(out);
  };
  return { name, size, read, done };
}
