// Damaged disks of which only parts are read: partition tables, and files of EROFS images by pages.
import * as fc from 'fast-check';
import { erofsRoot } from '../../../daemon/files/erofs-files.js';
import type { ImageFile } from '../../../daemon/files/image-file.js';
import { readPartitionTable } from '../../../daemon/partition/table.js';
import { blobs, mutate, mutations } from '../../support/hostile-blobs.js';
import { imageOfDevice } from '../../support/hostile-devices.js';
import { memoryDisk } from '../../support/memory-disk.js';
import { sealGptHeader, writeGpt, writeMbr } from '../../support/partition-writer.js';
import { isOurs, mustEnd } from './must-end.js';

const DISK_SIZE = 1 << 20;
/** Bytes of the longest list of entries, and of about 250 records in a chain. */
const MAX_TABLE_READ = (4 << 20) + (1 << 18);
/** Files of one image that are looked at: a damaged folder may be in itself. */
const MAX_FILES = 60;
/** Bytes of one file that are read. */
const MAX_CONTENTS = 4 << 20;

const TABLES: Readonly<Record<string, { readonly disk: Buffer; readonly sectorSize: number }>> = {
  MBR: { disk: mbrDisk(), sectorSize: 512 },
  GPT: { disk: gptDisk(512), sectorSize: 512 },
  'GPT of 4 KiB': { disk: gptDisk(4096), sectorSize: 4096 },
};
const EROFS: Readonly<Record<string, Buffer>> = {
  'EROFS with a device': imageOfDevice,
  composefs: blobs['composefs'] as Buffer,
};

function mbrDisk(): Buffer {
  const disk = Buffer.alloc(DISK_SIZE);
  const logical = { type: 0x83, begin: 9, count: 1 };
  writeMbr(disk, [
    { type: 0x83, begin: 10, count: 20 },
    { type: 5, begin: 1, count: 900 },
  ]);
  writeMbr(disk, [logical, { type: 5, begin: 1, count: 9 }], 1);
  writeMbr(disk, [logical, { type: 5, begin: 0, count: 9 }], 2);
  return disk;
}

function gptDisk(sectorSize: number): Buffer {
  const disk = Buffer.alloc(DISK_SIZE);
  const entries = [
    { first: 40, last: 50 },
    { first: 51, last: 60 },
  ];
  writeGpt(disk, entries, { sectorSize });
  return disk;
}

const VALUES = [0, 1, 2, 5, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 511, 512, 2047, 2048];
const numbers = fc.array(
  fc.record({
    at: fc.nat(1200),
    value: fc.oneof(fc.constantFrom(...VALUES), fc.nat(0xffff_ffff)),
  }),
  { minLength: 1, maxLength: 6 },
);

export const hostileDisk = fc.oneof(
  fc.record({
    kind: fc.constantFrom(...Object.keys(TABLES)),
    numbers,
    isSealed: fc.boolean(),
  }),
  fc.record({ kind: fc.constantFrom(...Object.keys(EROFS)), damage: mutations }),
);
export type HostileDisk = typeof hostileDisk extends fc.Arbitrary<infer T> ? T : never;

export function diskMustBeHandled(played: HostileDisk): Promise<string> {
  if ('damage' in played) {
    return mustEnd(() => walk(mutate(EROFS[played.kind] as Buffer, played.damage)));
  }
  const { disk: healthy, sectorSize } = TABLES[played.kind] as (typeof TABLES)[string];
  const disk = Buffer.from(healthy);
  const isGpt = played.kind !== 'MBR';
  const begin = isGpt ? sectorSize : 440;
  for (const { at, value } of played.numbers) disk.writeUInt32LE(value, begin + at);
  if (played.isSealed && isGpt) sealGptHeader(disk, sectorSize);
  return mustEnd(() => readTable(disk));
}

async function readTable(bytes: Buffer): Promise<void> {
  const disk = memoryDisk(bytes);
  const table = await readPartitionTable(disk);
  for (const { offset, size, problem } of table?.partitions ?? []) {
    if (problem || (offset >= 0 && size >= 0 && offset + size <= bytes.length)) continue;
    throw new Error(`a partition at ${offset} with ${size} bytes`);
  }
  if (disk.done.bytes > MAX_TABLE_READ) throw new Error(`${disk.done.bytes} bytes were read`);
}

/** All that `ls`, `stat` and `cat` ask for. What is wrong with one file leaves the others. */
async function walk(bytes: Buffer): Promise<void> {
  const read = (offset: number, length: number): Promise<Uint8Array> => {
    const isRange = Number.isSafeInteger(offset) && offset >= 0 && length >= 0;
    if (!isRange) throw new Error(`a read of ${length} bytes at ${offset}`);
    return Promise.resolve(bytes.subarray(offset, offset + length));
  };
  const root = await erofsRoot({ name: 'disk', size: bytes.length, read });
  const waiting: ImageFile[] = root ? [root] : [];
  for (let done = 0; done < MAX_FILES; done++) {
    const file = waiting.shift();
    if (!file) return;
    await ours(() => file.stat());
    await ours(() => file.xattrs());
    await ours(() => contentsOf(file));
    const names = (await ours(() => file.names())) ?? [];
    for (const name of names.slice(0, MAX_FILES)) {
      const child = await ours(() => file.child(name));
      if (child) waiting.push(child);
    }
  }
}

async function contentsOf(file: ImageFile): Promise<void> {
  if ((await file.stat()).type !== 'reg') return;
  let read = 0;
  for await (const { bytes } of file.contents()) {
    read += bytes.length;
    if (read >= MAX_CONTENTS) return;
  }
}

async function ours<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (isOurs(error)) return null;
    throw error;
  }
}
