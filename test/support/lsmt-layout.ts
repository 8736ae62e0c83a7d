// Bytes of LSMT headers, trailers and index entries for test images; separate from the daemon's own description of the
// format, so that a wrong offset cannot be in both.
import { writeFileSync } from 'node:fs';

export const SECTOR = 512;
/** Header and trailer: a struct of 390 bytes in a page of zeros. */
export const LSMT_PAGE = 4096;
/** In sectors: the place of the first data of a blob. */
export const FIRST_MOFFSET = LSMT_PAGE / SECTOR;
export const ENTRY_SIZE = 16;
/** Sectors: the length field has 14 bits. */
export const MAX_LENGTH = 16383;

const MAGIC0 = Buffer.from('4c534d5400010200', 'hex');
const MAGIC1 = Buffer.from('657e63d29444084ca2d2c8ec4fcfae8a', 'hex');
const STRUCT_SIZE = 390;
const USER_TAG_SIZE = 256;
const NIL_UUID = '00000000-0000-0000-0000-000000000000';

export const LSMT_FLAG = { header: 1, data: 2, sealed: 4, sparse: 16 } as const;

/** Every field of a header or trailer. Sizes and offsets in bytes, `indexSize` in entries. */
export interface LsmtPageFields {
  magic0: Uint8Array;
  magic1: Uint8Array;
  size: number;
  flags: number;
  indexOffset: number;
  indexSize: number;
  virtualSize: number;
  uuid: string;
  parentUuid: string;
  version: number;
  subVersion: number;
  userTag: Uint8Array;
}

const PAGE_DEFAULTS: LsmtPageFields = {
  magic0: MAGIC0,
  magic1: MAGIC1,
  size: STRUCT_SIZE,
  flags: 0,
  indexOffset: 0,
  indexSize: 0,
  virtualSize: 0,
  uuid: NIL_UUID,
  parentUuid: NIL_UUID,
  version: 1,
  subVersion: 1,
  userTag: Buffer.alloc(0),
};

/** A 4096-byte header or trailer page; fields that are left out are as the reference writes them. */
export function lsmtPage(fields: Partial<LsmtPageFields>): Buffer {
  const all = { ...PAGE_DEFAULTS, ...fields };
  if (all.userTag.length > USER_TAG_SIZE) {
    throw new RangeError(`lsmt user tag: ${all.userTag.length} bytes, limit ${USER_TAG_SIZE}`);
  }
  const page = Buffer.alloc(LSMT_PAGE);
  page.set(all.magic0, 0);
  page.set(all.magic1, 8);
  page.writeUInt32LE(all.size, 24);
  page.writeUInt32LE(all.flags, 28);
  page.writeBigUInt64LE(BigInt(all.indexOffset), 32);
  page.writeBigUInt64LE(BigInt(all.indexSize), 40);
  page.writeBigUInt64LE(BigInt(all.virtualSize), 48);
  page.write(all.uuid, 56, 36, 'latin1');
  page.write(all.parentUuid, 93, 36, 'latin1');
  page.writeUInt8(all.version, 132);
  page.writeUInt8(all.subVersion, 133);
  page.set(all.userTag, 134);
  return page;
}

/** One index entry, all in sectors: offset on the disk, length, and `moffset` from the start of the blob. */
export interface LsmtEntry {
  offset: number;
  length: number;
  moffset: number;
  zeroed: boolean;
  tag: number;
}

/** An entry whose offset is all ones is padding: readers skip it anywhere. */
export const PADDING_ENTRY: LsmtEntry = {
  offset: 2 ** 50 - 1,
  length: 0,
  moffset: 0,
  zeroed: false,
  tag: 0,
};

const LOW = 2 ** 32;

/** The on-disk index: offset[50] length[14], then moffset[55] zeroed[1] tag[8], little-endian. */
export function encodeEntries(entries: readonly LsmtEntry[]): Buffer {
  const out = Buffer.alloc(entries.length * ENTRY_SIZE);
  let at = 0;
  for (const { offset, length, moffset, zeroed, tag } of entries) {
    checkField('offset', offset, 2 ** 50);
    checkField('length', length, 2 ** 14);
    checkField('moffset', moffset, 2 ** 55);
    checkField('tag', tag, 256);
    out.writeUInt32LE(offset % LOW, at);
    out.writeUInt32LE(Math.floor(offset / LOW) + length * 2 ** 18, at + 4);
    out.writeUInt32LE(moffset % LOW, at + 8);
    out.writeUInt32LE(Math.floor(moffset / LOW) + (zeroed ? 2 ** 23 : 0) + tag * 2 ** 24, at + 12);
    at += ENTRY_SIZE;
  }
  return out;
}

function checkField(name: string, value: number, limit: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= limit) {
    throw new RangeError(`lsmt entry: ${name} ${value} does not fit its field`);
  }
}

/**
 * Writes a sealed layer without data: `count` zeroed sectors, one in `step`, for a device of 8 GiB.
 * @returns the path
 */
export function writeZeroedLayer(
  path: string,
  count: number,
  { first = 0, step = 2 } = {},
): string {
  const index = Buffer.alloc(count * 16);
  for (let i = 0; i < count; i++) {
    index.writeUInt32LE(first + i * step, i * 16);
    index.writeUInt32LE(1 << 18, i * 16 + 4);
    index.writeUInt32LE(8, i * 16 + 8);
    index.writeUInt32LE(0x800000, i * 16 + 12);
  }
  const trailer = { flags: 6, virtualSize: 2 ** 33, indexOffset: 4096, indexSize: count };
  writeFileSync(path, Buffer.concat([lsmtPage({ flags: 3 }), index, lsmtPage(trailer)]));
  return path;
}
