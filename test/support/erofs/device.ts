// A written file system as a device that tests read: through the merged disk, as a reactor does.
import { ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { LsmtDisk } from '../../../daemon/image/disks/lsmt-disk.js';
import { indexOf } from '../../../daemon/erofs/device-index.js';
import type { WrittenErofs } from '../../../daemon/erofs/write.js';
import { LsmtIndex } from '../../../daemon/lsmt/merged-index.js';
import { MemorySource } from '../memory-source.js';
import type { ReadDevice } from './demand.js';

/** @param sources the bytes of the content sources; filled up to a multiple of 512 */
export function deviceOf(written: WrittenErofs, sources: readonly Buffer[]): ReadDevice {
  const { metadata, rows, deviceSize } = written;
  const readers = new ReaderFactory();
  const disk = new LsmtDisk(new LsmtIndex(indexOf(rows, deviceSize, 'device')), [
    readers.source({ kind: 'memory', name: 'metadata', memory: metadata }),
    ...sources.map((bytes) => new MemorySource(padded(bytes))),
  ]);
  return (offset, length) => {
    const bytes = Buffer.alloc(length);
    if (!disk.read(offset, length, bytes, 0, { hint: 0 })) throw new Error('not at hand');
    return bytes;
  };
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 511)]);
}
