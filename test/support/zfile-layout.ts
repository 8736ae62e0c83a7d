// Bytes of ZFile headers and trailers for test images; separate from the daemon's own description of the format, so
// that a wrong offset cannot be in both.
import { rawCrc32c } from './crc32c.js';

/** Header and trailer: a struct of 96 bytes in 512. */
export const ZFILE_PAGE = 512;
/** The CRC of a block starts with this value, not with 0 like those of the header and the index. */
export const BLOCK_CRC_SEED = 100007;
export const BLOCK_CRC_SIZE = 4;

export const ZFILE_FLAG = {
  header: 1,
  data: 2,
  sealed: 4,
  /** The header has the values of the trailer, so the trailer need not be read. */
  overwritten: 8,
  digest: 16,
  indexCompressed: 32,
} as const;

const MAGIC0 = Buffer.from('5a46696c65000100', 'hex');
const MAGIC1 = Buffer.from('tuji.yyf@Alibaba', 'latin1');
const STRUCT_SIZE = 96;
const DIGEST_AT = 28;

/** Every field of a header or trailer. Sizes and offsets in bytes, `indexSize` in u32 entries. */
export interface ZfilePageFields {
  magic0: Uint8Array;
  magic1: Uint8Array;
  size: number;
  /** If left out: computed over the finished page if the digest flag is set, otherwise 0. */
  digest: number;
  flags: number;
  indexOffset: number;
  indexSize: number;
  originalSize: number;
  indexCrc: number;
  blockSize: number;
  algo: number;
  level: number;
  useDict: number;
  args: number;
  dictSize: number;
  verify: number;
}

const PAGE_DEFAULTS: Omit<ZfilePageFields, 'digest'> = {
  magic0: MAGIC0,
  magic1: MAGIC1,
  size: STRUCT_SIZE,
  flags: 0,
  indexOffset: 0,
  indexSize: 0,
  originalSize: 0,
  indexCrc: 0,
  blockSize: 4096,
  algo: 1,
  level: 0,
  useDict: 0,
  args: 0,
  dictSize: 0,
  verify: 0,
};

/** A 512-byte header or trailer; fields that are left out are 0 or as the reference writes them. */
export function zfilePage(fields: Partial<ZfilePageFields>): Buffer {
  const all = { ...PAGE_DEFAULTS, ...fields };
  const page = Buffer.alloc(ZFILE_PAGE);
  page.set(all.magic0, 0);
  page.set(all.magic1, 8);
  page.writeUInt32LE(all.size, 24);
  page.writeBigUInt64LE(BigInt(all.flags), 32);
  page.writeBigUInt64LE(BigInt(all.indexOffset), 40);
  page.writeBigUInt64LE(BigInt(all.indexSize), 48);
  page.writeBigUInt64LE(BigInt(all.originalSize), 56);
  page.writeUInt32LE(all.indexCrc, 64);
  page.writeUInt32LE(all.blockSize, 72);
  page.writeUInt8(all.algo, 76);
  page.writeUInt8(all.level, 77);
  page.writeUInt8(all.useDict, 78);
  page.writeUInt32LE(all.args, 80);
  page.writeUInt32LE(all.dictSize, 84);
  page.writeUInt8(all.verify, 88);
  // The digest covers the whole page with its own four bytes still zero.
  const computed = all.flags & ZFILE_FLAG.digest ? rawCrc32c(page) : 0;
  page.writeUInt32LE(fields.digest ?? computed, DIGEST_AT);
  return page;
}
