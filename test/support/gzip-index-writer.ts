// Writes turboOCI's index of a gzip blob, valid or with any field changed.
import { constants, deflateSync, gunzipSync } from 'node:zlib';
import { rawCrc32c } from './crc32c.js';
import { UNBOUNDED } from '../../daemon/lib/effort.js';
import { indexGzip } from '../../daemon/inflate/index-gzip.js';
import { CODECS } from '../../daemon/pieces/piece-table.js';
import { MemorySource } from './memory-source.js';

const HEADER_SIZE = 333;
const CHECKPOINT_SIZE = 29;
const WINDOW_SIZE = 32_768;
/** A gzip header without a name and other fields. */
const HEADER_OF_MEMBER = 10;

export interface WrittenCheckpoint {
  plain: number;
  stored: number;
  bits: number;
  /** 32 KiB in front of it. */
  window: Buffer;
  /** If given, it is stored instead of the real one. */
  windowAt?: number;
  windowLength?: number;
}

export interface GzipIndexFields {
  checkpoints: readonly WrittenCheckpoint[];
  gzipSize: number;
  plainSize: number;
  /** 0: windows and checkpoints as they are; 1: zlib. */
  algorithm?: number;
  /** Changes the header before its checksum is computed. */
  patch?: (header: Buffer) => void;
}

/**
 * What an index of this blob has, with places where the blob's own blocks begin.
 * @param gzip members whose headers have HEADER_OF_MEMBER bytes
 * @param atMembers whether later members, after their headers, are places, too
 */
export async function gzipIndexOf(
  gzip: Buffer,
  spanSize: number,
  atMembers = false,
): Promise<GzipIndexFields> {
  const plain = gunzipSync(gzip, { finishFlush: constants.Z_SYNC_FLUSH });
  const table = await indexGzip(
    new MemorySource(gzip, 'gzip'),
    UNBOUNDED,
    () => undefined,
    spanSize,
  );
  const all = Array.from(table.begins, (begin, i): WrittenCheckpoint & { isMember: boolean } => {
    const isMember = CODECS[table.codecs[i] as number] === 'gzip';
    const bits = table.blocks?.bits[i] ?? 0;
    const at = table.positions[i] ?? 0;
    const window = Buffer.alloc(WINDOW_SIZE);
    const before = plain.subarray(Math.max(0, at - WINDOW_SIZE), at);
    window.set(before, WINDOW_SIZE - before.length);
    const skipped = isMember ? HEADER_OF_MEMBER : Math.sign(bits);
    return { plain: at, stored: begin + skipped, bits, window, isMember };
  });
  const checkpoints = all.filter(({ isMember }, i) => i === 0 || atMembers || !isMember);
  return { checkpoints, gzipSize: gzip.length, plainSize: plain.length };
}

export function writeGzipIndex(fields: GzipIndexFields): Buffer {
  const { checkpoints, gzipSize, plainSize, algorithm = 1, patch } = fields;
  const pack = (bytes: Buffer): Buffer => (algorithm === 1 ? deflateSync(bytes) : bytes);
  const windows = checkpoints.map(({ window }) => pack(window));
  let windowAt = HEADER_SIZE;
  const area = Buffer.alloc(checkpoints.length * CHECKPOINT_SIZE);
  for (const [i, point] of checkpoints.entries()) {
    const at = i * CHECKPOINT_SIZE;
    const length = windows[i]?.length ?? 0;
    area.writeBigInt64LE(BigInt(point.plain), at);
    area.writeBigInt64LE(BigInt(point.stored), at + 8);
    area.writeBigInt64LE(BigInt(point.windowAt ?? windowAt), at + 16);
    area[at + 24] = point.bits;
    area.writeUInt32LE(point.windowLength ?? length, at + 25);
    windowAt += length;
  }
  const packed = pack(area);
  const header = Buffer.alloc(HEADER_SIZE);
  header.write('ddgzidx\0', 'latin1');
  header[8] = 1;
  header[10] = algorithm;
  header[11] = 6;
  header.writeInt32LE(1 << 20, 13);
  header.writeInt32LE(WINDOW_SIZE, 17);
  header.writeInt32LE(CHECKPOINT_SIZE, 21);
  const numbers = [checkpoints.length, gzipSize, windowAt + packed.length, plainSize];
  numbers.forEach((value, i) => header.writeBigInt64LE(BigInt(value), 25 + 8 * i));
  header.writeBigInt64LE(BigInt(windowAt), 313);
  header.writeBigInt64LE(BigInt(packed.length), 321);
  patch?.(header);
  header.writeUInt32LE(rawCrc32c(header.subarray(0, 329)), 329);
  return Buffer.concat([header, ...windows, packed]);
}
