// Writes unsealed upper layers, append-only and sparse, as a stopped writer leaves them.
import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import {
  encodeEntries,
  FIRST_MOFFSET,
  LSMT_FLAG,
  LSMT_PAGE,
  lsmtPage,
  MAX_LENGTH,
  PADDING_ENTRY,
  SECTOR,
  type LsmtEntry,
  type LsmtPageFields,
} from './lsmt-layout.js';

/** One write or trim, in order; later ones may overlap earlier ones. In sectors. */
export interface UpperWrite {
  offset: number;
  length: number;
  /** `length` sectors; left out for a trim. */
  data?: Uint8Array;
}

export interface AppendUpper {
  /** Bytes. */
  virtualSize: number;
  writes: readonly UpperWrite[];
  uuid?: string;
  parentUuid?: string;
  userTag?: Uint8Array;
  /** Entries of a group commit: every flush is padded to this number with padding entries. */
  groupCommit?: number;
  /** Bytes (below 16) of one more entry, which a crash cut off. */
  tornTail?: number;
  /** Stray bytes after the last data: data whose entry was never written. */
  strayData?: Uint8Array;
  dataHeader?: Partial<LsmtPageFields>;
  indexHeader?: Partial<LsmtPageFields>;
}

/** The two files of an append-only upper. */
export function appendUpper(upper: AppendUpper): { data: Buffer; index: Buffer } {
  const { virtualSize, writes, uuid, parentUuid, userTag } = upper;
  const chunks: Uint8Array[] = [];
  const entries: LsmtEntry[] = [];
  let dataEnd = FIRST_MOFFSET;
  for (const write of writes) {
    for (let done = 0; done < write.length; done += MAX_LENGTH) {
      const length = Math.min(write.length - done, MAX_LENGTH);
      const offset = write.offset + done;
      entries.push({ offset, length, moffset: dataEnd, zeroed: !write.data, tag: 0 });
      if (!write.data) continue;
      chunks.push(write.data.subarray(done * SECTOR, (done + length) * SECTOR));
      dataEnd += length;
    }
  }
  const shared: Partial<LsmtPageFields> = {
    virtualSize,
    ...(uuid !== undefined && { uuid }),
    ...(parentUuid !== undefined && { parentUuid }),
    ...(userTag !== undefined && { userTag }),
  };
  return {
    data: Buffer.concat([
      lsmtPage({ ...shared, flags: LSMT_FLAG.header | LSMT_FLAG.data, ...upper.dataHeader }),
      ...chunks,
      upper.strayData ?? Buffer.alloc(0),
    ]),
    index: Buffer.concat([
      lsmtPage({
        ...shared,
        flags: LSMT_FLAG.header,
        indexOffset: LSMT_PAGE,
        ...upper.indexHeader,
      }),
      encodeEntries(padGroups(entries, upper.groupCommit ?? 1)),
      encodeEntries([
        { offset: 0, length: 1, moffset: FIRST_MOFFSET, zeroed: false, tag: 0 },
      ]).subarray(0, upper.tornTail ?? 0),
    ]),
  };
}

/** A flush happens when the group is full, so only the last group can be short. */
function padGroups(entries: readonly LsmtEntry[], group: number): LsmtEntry[] {
  const padded = [...entries];
  while (padded.length % group !== 0) padded.push(PADDING_ENTRY);
  return padded;
}

export interface SparseUpper {
  /** Bytes. */
  virtualSize: number;
  writes: readonly UpperWrite[];
  uuid?: string;
  header?: Partial<LsmtPageFields>;
}

/**
 * Writes a sparse upper: device sector x at 4096 + 512 x of the data file, holes where nothing was written, and
 * an empty index file, which must exist and says nothing. Only writes leave data; a trim of sectors never written
 * leaves no trace in the real format either, and is refused here so that no test takes it for one.
 */
export function writeSparseUpper(dataPath: string, indexPath: string, upper: SparseUpper): void {
  const { virtualSize, writes, uuid } = upper;
  const flags = LSMT_FLAG.header | LSMT_FLAG.data | LSMT_FLAG.sparse;
  const fd = openSync(dataPath, 'w');
  try {
    ftruncateSync(fd, LSMT_PAGE + virtualSize);
    writeAt(
      fd,
      lsmtPage({ virtualSize, flags, ...(uuid !== undefined && { uuid }), ...upper.header }),
      0,
    );
    for (const { offset, data } of writes) {
      if (!data) throw new TypeError(`sparse upper: trim at ${offset}, a hole cannot record it`);
      writeAt(fd, data, LSMT_PAGE + offset * SECTOR);
    }
  } finally {
    closeSync(fd);
  }
  writeFileSync(indexPath, '');
}

function writeAt(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  }
}
