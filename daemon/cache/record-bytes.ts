// The bytes of a record: a header with the version and a checksum, then what was kept. Pure.

import { crc32c } from '../native/crc32c.js';

/** Bytes of one record: a layer of 2,000,000 files has as many. */
export const MAX_RECORD = 512 << 20;
/** Bytes of the header: a multiple of 8, so that numbers after it are aligned. */
export const RECORD_HEADER_SIZE = 16;

const MAGIC = Buffer.from('OBDLAYER', 'latin1');
/**
 * A record of another version is ignored. Raise the version when a reader finds something else in the same bytes: what is
 * served must not depend on the version that wrote the record.
 */
const VERSION = 1;
const AT_VERSION = 8;
const AT_CRC = 12;
const ALL_ONES = 0xffff_ffff;

/** @param content is not copied */
export function recordHeader(content: Uint8Array): Buffer {
  const header = Buffer.alloc(RECORD_HEADER_SIZE);
  MAGIC.copy(header);
  header.writeUInt32LE(VERSION, AT_VERSION);
  header.writeUInt32LE(crcOf(content), AT_CRC);
  return header;
}

/** @returns a part of `bytes`; null if it is of another version, or damaged */
export function recordContent(bytes: Buffer): Buffer | null {
  if (bytes.length < RECORD_HEADER_SIZE || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    return null;
  }
  if (bytes.readUInt32LE(AT_VERSION) !== VERSION) return null;
  const content = bytes.subarray(RECORD_HEADER_SIZE);
  return crcOf(content) === bytes.readUInt32LE(AT_CRC) ? content : null;
}

function crcOf(bytes: Uint8Array): number {
  return (crc32c(bytes, 0, bytes.length, ALL_ONES) ^ ALL_ONES) >>> 0;
}
