// Writes ZFiles, valid or deliberately invalid, to memory or to a file; it does not know their content.
import { writeSync } from 'node:fs';
import type { Algorithm } from '../../daemon/codec/algorithm.js';
import { encodeBlock } from './encode-block.js';
import { rawCrc32c, type Crc } from './crc32c.js';
import {
  BLOCK_CRC_SEED,
  BLOCK_CRC_SIZE,
  ZFILE_FLAG,
  ZFILE_PAGE,
  zfilePage,
  type ZfilePageFields,
} from './zfile-layout.js';

/** Values of the option byte `algo`. */
const ALGORITHM_NUMBERS: Readonly<Record<Algorithm, number>> = { lz4: 1, zstd: 2 };

export interface ZfileOptions {
  /** Default 'lz4'. */
  algorithm?: Algorithm;
  /** Bytes, by default 4096. Not checked. */
  blockSize?: number;
  /** A CRC after every block; default yes. */
  verify?: boolean;
  /** 'header': the header repeats the trailer (overlaybd-commit -z); 'trailer': only the trailer has the values. */
  mode?: 'header' | 'trailer';
  /** Whether header and trailer have a digest; default yes. */
  digest?: boolean;
  /** Fields that replace those of the writer; the digest is computed afterwards. */
  header?: Partial<ZfilePageFields>;
  trailer?: Partial<ZfilePageFields>;
  /** Replaces the compressor, so that a test can store any bytes as block `index`. */
  encode?: (raw: Uint8Array, index: number) => Uint8Array;
  /** Replaces the stored lengths in the jump table; its CRC is computed afterwards. */
  index?: (lengths: number[]) => number[];
  /** A faster raw CRC-32C for large files; default: the one in JavaScript. */
  crc?: Crc;
}

/** `raw` as a ZFile in memory. */
export function writeZfile(raw: Uint8Array, options: ZfileOptions = {}): Buffer {
  const parts: Uint8Array[] = [];
  const source = (offset: number, length: number) => raw.subarray(offset, offset + length);
  const lengths = compress(source, raw.length, options, (bytes) => parts.push(bytes));
  const { header, index, trailer } = finish(raw.length, lengths, options);
  return Buffer.concat([header, ...parts, index, trailer]);
}

/**
 * Writes `size` bytes of `source` as a ZFile to the empty file `fd`. Returns the file's size in bytes.
 * Memory use does not depend on `size`, save for the jump table.
 */
export function writeZfileTo(
  fd: number,
  source: (offset: number, length: number) => Uint8Array,
  size: number,
  options: ZfileOptions = {},
): number {
  let position = ZFILE_PAGE;
  let pending: Uint8Array[] = [];
  let pendingSize = 0;
  const flush = () => {
    position = writeAt(fd, Buffer.concat(pending), position);
    pending = [];
    pendingSize = 0;
  };
  const lengths = compress(source, size, options, (bytes) => {
    pending.push(bytes);
    pendingSize += bytes.length;
    if (pendingSize >= FLUSH_SIZE) flush();
  });
  flush();
  const { header, index, trailer } = finish(size, lengths, options);
  position = writeAt(fd, index, position);
  position = writeAt(fd, trailer, position);
  writeAt(fd, header, 0);
  return position;
}

const FLUSH_SIZE = 1 << 20;

/** Produces every block as it is stored. Returns the stored lengths, CRC included. */
function compress(
  source: (offset: number, length: number) => Uint8Array,
  size: number,
  options: ZfileOptions,
  emit: (bytes: Uint8Array) => void,
): number[] {
  const { algorithm = 'lz4', blockSize = 4096, verify = true, crc = rawCrc32c } = options;
  const encode = options.encode ?? ((raw) => encodeBlock(algorithm, raw));
  const lengths: number[] = [];
  for (let offset = 0; offset < size; offset += blockSize) {
    const raw = source(offset, Math.min(blockSize, size - offset));
    const block = encode(raw, lengths.length);
    emit(block);
    if (verify) {
      const sum = Buffer.alloc(BLOCK_CRC_SIZE);
      sum.writeUInt32LE(crc(block, BLOCK_CRC_SEED));
      emit(sum);
    }
    lengths.push(block.length + (verify ? BLOCK_CRC_SIZE : 0));
  }
  return lengths;
}

function finish(originalSize: number, lengths: number[], options: ZfileOptions) {
  const { algorithm = 'lz4', blockSize = 4096, verify = true, mode = 'header' } = options;
  const table = options.index?.([...lengths]) ?? lengths;
  const index = Buffer.alloc(table.length * 4);
  for (const [at, length] of table.entries()) index.writeUInt32LE(length, at * 4);
  const digest = options.digest === false ? 0 : ZFILE_FLAG.digest;
  const settings = { blockSize, algo: ALGORITHM_NUMBERS[algorithm], verify: verify ? 1 : 0 };
  const result = {
    indexOffset: lengths.reduce((sum, length) => sum + length, ZFILE_PAGE),
    indexSize: table.length,
    originalSize,
    indexCrc: rawCrc32c(index),
  };
  // An overwritten header is not sealed: only the trailer is.
  const start = { ...settings, flags: ZFILE_FLAG.header | ZFILE_FLAG.data | digest };
  const overwritten = { ...start, ...result, flags: start.flags | ZFILE_FLAG.overwritten };
  const end = { ...settings, ...result, flags: ZFILE_FLAG.data | ZFILE_FLAG.sealed | digest };
  return {
    header: zfilePage({ ...(mode === 'header' ? overwritten : start), ...options.header }),
    index,
    trailer: zfilePage({ ...end, ...options.trailer }),
  };
}

/** Returns the position after the last byte. */
function writeAt(fd: number, bytes: Uint8Array, position: number): number {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  }
  return position + bytes.length;
}
