// Makes an attached device one that another version of the daemon could have attached: the same tree with another UUID, and
// with the contents of files in the opposite order. What is kept of the device is rewritten; its daemon must not run.
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { readMetadataFile, writeMetadataFile } from '../../daemon/devices/metadata-file.js';
import type { DeviceRecord, DeviceRecords } from '../../daemon/devices/record.js';
import { I, SB, SUPERBLOCK } from '../../daemon/erofs/format.js';
import { ErofsImage } from '../../daemon/erofs/reader/image.js';
import { readSuperblock } from '../../daemon/erofs/reader/superblock.js';
import type { RecordedTree } from '../../daemon/image/recorded-tree.js';
import { UNBOUNDED } from '../../daemon/lib/effort.js';
import { checksumOf } from './erofs/checksum.js';

const BLOCK = 4096;
const SECTORS = BLOCK / 512;
const REGULAR = 0o100000;
const NO_BLOCK = 0xffff_ffff;

/** @returns the record as it is now */
export async function rewriteAsOther(
  records: DeviceRecords,
  record: DeviceRecord,
): Promise<DeviceRecord> {
  const path = records.metadataPath(record.id);
  const tree = await otherLayout(await readMetadataFile(path, record.metadata ?? ''));
  const digest = createHash('sha256').update(new Uint8Array(tree.metadata)).digest('hex');
  rmSync(path);
  await writeMetadataFile(path, tree);
  const rewritten = { ...record, metadata: digest };
  records.write(rewritten);
  return rewritten;
}

/** Blocks of a file. */
interface Run {
  /** Byte offset of its inode. */
  readonly at: number;
  readonly begin: number;
  readonly blocks: number;
}

async function otherLayout(tree: RecordedTree): Promise<RecordedTree> {
  const metadata = new SharedArrayBuffer(tree.metadata.byteLength);
  const bytes = Buffer.from(metadata);
  bytes.set(new Uint8Array(tree.metadata));
  const runs = await runsOf(bytes);
  const first = bytes.length / BLOCK;
  const last = tree.deviceSize / BLOCK;
  const rows: [sector: number, length: number, source: number, moffset: number][] = [
    [0, first * SECTORS, 0, 0],
  ];
  for (const { at, begin, blocks } of runs) {
    const moved = first + last - begin - blocks;
    bytes.writeUInt32LE(moved, at + I.place);
    const [from, to] = [begin * SECTORS, (begin + blocks) * SECTORS];
    for (let i = 0; i < tree.rows.count; i++) {
      const [sector, length] = [tree.rows.sectors[i] as number, tree.rows.lengths[i] as number];
      const [clipped, end] = [Math.max(sector, from), Math.min(sector + length, to)];
      if (clipped >= end) continue;
      const moffset = (tree.rows.moffsets[i] as number) + (clipped - sector);
      const there = moved * SECTORS + (clipped - from);
      rows.push([there, end - clipped, tree.rows.sources[i] as number, moffset]);
    }
  }
  rows.sort(([a], [b]) => a - b);
  bytes[SUPERBLOCK + SB.uuid] = (bytes[SUPERBLOCK + SB.uuid] as number) ^ 0xff;
  bytes.writeUInt32LE(0, SUPERBLOCK + SB.checksum);
  bytes.writeUInt32LE(checksumOf(bytes.subarray(SUPERBLOCK, BLOCK)), SUPERBLOCK + SB.checksum);
  return {
    ...tree,
    metadata,
    rows: {
      count: rows.length,
      sectors: Float64Array.from(rows, ([sector]) => sector),
      lengths: Float64Array.from(rows, ([, length]) => length),
      sources: Uint8Array.from(rows, ([, , source]) => source),
      moffsets: Float64Array.from(rows, ([, , , moffset]) => moffset),
    },
  };
}

/** Of all files that have blocks, each once. */
async function runsOf(bytes: Buffer): Promise<Run[]> {
  const image = new ErofsImage(bytes, readSuperblock(bytes, 'recorded'), 'recorded');
  const runs = new Map<number, Run>();
  await image.walk(UNBOUNDED, ({ inode: { at, mode, place, size } }) => {
    if ((mode & 0o170000) !== REGULAR || size === 0 || place === NO_BLOCK) return;
    runs.set(at, { at, begin: place, blocks: Math.ceil(size / BLOCK) });
  });
  return [...runs.values()];
}
