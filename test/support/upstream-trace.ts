// Writes binary traces as the reference implementation does, valid or deliberately invalid.
import { rawCrc32c } from './crc32c.js';

export interface TraceRecord {
  /** 'R' if left out. */
  readonly operation?: string;
  readonly layer: number;
  readonly count: number | bigint;
  readonly offset: number | bigint;
}

const MAGIC = 3_270_449_184;
const SIZE = 24;

export function writeUpstreamTrace(records: readonly TraceRecord[]): Buffer {
  const bytes = Buffer.alloc(SIZE + SIZE * records.length);
  for (const [i, { operation = 'R', layer, count, offset }] of records.entries()) {
    const at = SIZE + SIZE * i;
    // Memory that was not cleared: the checksum covers the padding.
    bytes.fill(0xee, at, at + SIZE);
    bytes.write(operation, at, 'latin1');
    bytes.writeUInt32LE(layer, at + 4);
    bytes.writeBigUInt64LE(BigInt(count), at + 8);
    bytes.writeBigInt64LE(BigInt(offset), at + 16);
  }
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeBigUInt64LE(BigInt(SIZE * records.length), 8);
  bytes.writeUInt32LE(rawCrc32c(bytes.subarray(SIZE), 0), 16);
  return bytes;
}

/** Records of 1 MiB that name all of a layer. */
export function wholeLayer(layer: number, plainSize: number): TraceRecord[] {
  const records: TraceRecord[] = [];
  for (let offset = 0; offset < plainSize; offset += 1 << 20) {
    records.push({ layer, offset, count: Math.min(1 << 20, plainSize - offset) });
  }
  return records;
}
