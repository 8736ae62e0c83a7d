// Parses whole blobs in memory and trusts them completely: the inverse of the writers here, written without the
// daemon's readers so that it can contradict them. It refuses nothing and must never get hostile input.
import { uncompressSync } from 'lz4-napi';
import { decompress } from 'zstd-napi';
import { rawCrc32c } from './crc32c.js';
import { LSMT_PAGE, PADDING_ENTRY, SECTOR, type LsmtEntry } from './lsmt-layout.js';
import type { ModelSegment } from './model.js';
import { BLOCK_CRC_SEED, BLOCK_CRC_SIZE, ZFILE_FLAG, ZFILE_PAGE } from './zfile-layout.js';

/** The stored bytes of a blob that may be wrapped, down to the LSMT layer. */
export function unwrapBlob(blob: Buffer): Buffer {
  const untarred = isTar(blob) ? tarPayload(blob) : blob;
  return untarred.toString('latin1', 0, 5) === 'ZFile' ? decodeZfile(untarred) : untarred;
}

/** The payload of a tar wrapper with a ustar or a pax header. */
export function tarPayload(tar: Buffer): Buffer {
  const pax = tar[156] === 'x'.charCodeAt(0);
  const start = pax ? 3 * SECTOR : SECTOR;
  const size = pax
    ? Number(/ size=(\d+)\n/.exec(tar.toString('latin1', SECTOR, 2 * SECTOR))?.[1])
    : Number.parseInt(tar.toString('latin1', 124, 136), 8);
  return tar.subarray(start, start + size);
}

function isTar(blob: Buffer): boolean {
  return blob.toString('latin1', 257, 262) === 'ustar';
}

/** The stored blocks of a ZFile without their CRCs, which were compared. */
export function zfileBlocks(file: Buffer): Buffer[] {
  const page = zfileInfo(file);
  const indexOffset = Number(page.readBigUInt64LE(40));
  const verify = page.readUInt8(88) === 1;
  const blocks: Buffer[] = [];
  let at = ZFILE_PAGE + page.readUInt32LE(84);
  for (let entry = 0; entry < Number(page.readBigUInt64LE(48)); entry++) {
    const end = at + file.readUInt32LE(indexOffset + entry * 4);
    const block = file.subarray(at, verify ? end - BLOCK_CRC_SIZE : end);
    if (verify && rawCrc32c(block, BLOCK_CRC_SEED) !== file.readUInt32LE(end - BLOCK_CRC_SIZE)) {
      throw new Error(`naive reader: zfile block ${entry}: wrong checksum`);
    }
    blocks.push(block);
    at = end;
  }
  return blocks;
}

/** The file inside a ZFile. */
export function decodeZfile(file: Buffer): Buffer {
  const page = zfileInfo(file);
  const blockSize = page.readUInt32LE(72);
  const originalSize = Number(page.readBigUInt64LE(56));
  const isLz4 = page.readUInt8(76) === 1;
  const raw = zfileBlocks(file).map((block, index) => {
    if (!isLz4) return decompress(block);
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32LE(Math.min(blockSize, originalSize - index * blockSize));
    return uncompressSync(Buffer.concat([prefix, block]));
  });
  return Buffer.concat(raw);
}

/** The page with the values: the header if it was overwritten, otherwise the trailer. */
function zfileInfo(file: Buffer): Buffer {
  return file.readUInt32LE(32) & ZFILE_FLAG.overwritten
    ? file.subarray(0, ZFILE_PAGE)
    : file.subarray(file.length - ZFILE_PAGE);
}

export interface NaiveLayer {
  /** Bytes. */
  virtualSize: number;
  /** The index as stored, padding included. */
  entries: LsmtEntry[];
  /** The segments of the entries. */
  segments: ModelSegment[];
}

/** The contents of a sealed LSMT blob. */
export function readLsmt(blob: Buffer): NaiveLayer {
  const trailer = blob.subarray(blob.length - LSMT_PAGE);
  const indexOffset = Number(trailer.readBigUInt64LE(32));
  const indexSize = Number(trailer.readBigUInt64LE(40));
  const entries = decodeEntries(blob.subarray(indexOffset, indexOffset + 16 * indexSize));
  return {
    virtualSize: Number(trailer.readBigUInt64LE(48)),
    entries,
    segments: mapped(entries, blob),
  };
}

/** The contents of an append-only upper, in write order. */
export function readAppendUpper(data: Buffer, index: Buffer): NaiveLayer {
  const count = Math.floor((index.length - LSMT_PAGE) / 16);
  const entries = decodeEntries(index.subarray(LSMT_PAGE, LSMT_PAGE + 16 * count));
  return {
    virtualSize: Number(index.readBigUInt64LE(48)),
    entries,
    segments: mapped(entries, data),
  };
}

function mapped(entries: readonly LsmtEntry[], data: Buffer): ModelSegment[] {
  return entries
    .filter((entry) => entry.offset !== PADDING_ENTRY.offset)
    .map(({ offset, length, moffset, zeroed }) => ({
      offset,
      length,
      zeroed,
      ...(!zeroed && { data: data.subarray(moffset * SECTOR, (moffset + length) * SECTOR) }),
    }));
}

function decodeEntries(index: Buffer): LsmtEntry[] {
  const entries: LsmtEntry[] = [];
  for (let at = 0; at < index.length; at += 16) {
    const word0 = index.readBigUInt64LE(at);
    const word1 = index.readBigUInt64LE(at + 8);
    entries.push({
      offset: Number(BigInt.asUintN(50, word0)),
      length: Number(word0 >> 50n),
      moffset: Number(BigInt.asUintN(55, word1)),
      zeroed: ((word1 >> 55n) & 1n) === 1n,
      tag: Number(word1 >> 56n),
    });
  }
  return entries;
}
