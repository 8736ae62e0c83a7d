// A small image for the run that records the code caches: LSMT layers, because that is what daemons serve.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  FIRST_DATA_SECTOR,
  INDEX_ENTRY_SIZE,
  LSMT_FIELD,
  LSMT_FLAG,
  LSMT_HEADER_SIZE,
  LSMT_MAGIC,
  SECTOR,
} from '../../lsmt/format.js';

const LAYERS = 4;
const VIRTUAL_SIZE = 1 << 20;
/** Of one layer. */
const SEGMENTS = 64;
const SEGMENT_SECTORS = 4;
/** Between the segments of a layer; those of the other layers are there. */
const STEP_SECTORS = 8 * LAYERS;
/** Of the struct; the rest of a header is padding. */
const STRUCT_SIZE = 390;

/** @returns the paths of its layers, lowest first */
export function writeLayers(folder: string): string[] {
  return Array.from({ length: LAYERS }, (_, layer) => {
    const path = join(folder, `${layer}.obd`);
    writeFileSync(path, layerBytes(layer));
    return path;
  });
}

function layerBytes(layer: number): Buffer {
  const data = Buffer.alloc(SEGMENTS * SEGMENT_SECTORS * SECTOR, layer + 1);
  const index = Buffer.alloc(SEGMENTS * INDEX_ENTRY_SIZE);
  for (let i = 0; i < SEGMENTS; i++) {
    const at = i * INDEX_ENTRY_SIZE;
    const sector = i * STEP_SECTORS + layer * 6;
    index.writeBigUInt64LE(BigInt(sector) | (BigInt(SEGMENT_SECTORS) << 50n), at);
    index.writeBigUInt64LE(BigInt(FIRST_DATA_SECTOR + i * SEGMENT_SECTORS), at + 8);
  }
  const sealed = LSMT_FLAG.dataFile | LSMT_FLAG.sealed;
  return Buffer.concat([
    page(sealed | LSMT_FLAG.header, 0, 0),
    data,
    index,
    page(sealed, LSMT_HEADER_SIZE + data.length, SEGMENTS),
  ]);
}

/** A header or a trailer. */
function page(flags: number, indexOffset: number, indexSize: number): Buffer {
  const bytes = Buffer.alloc(LSMT_HEADER_SIZE);
  bytes.set(LSMT_MAGIC, LSMT_FIELD.magic);
  bytes.writeUInt32LE(STRUCT_SIZE, LSMT_FIELD.size);
  bytes.writeUInt32LE(flags, LSMT_FIELD.flags);
  bytes.writeBigUInt64LE(BigInt(indexOffset), LSMT_FIELD.indexOffset);
  bytes.writeBigUInt64LE(BigInt(indexSize), LSMT_FIELD.indexSize);
  bytes.writeBigUInt64LE(BigInt(VIRTUAL_SIZE), LSMT_FIELD.virtualSize);
  bytes.writeUInt8(1, LSMT_FIELD.version);
  return bytes;
}
