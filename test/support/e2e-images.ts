// Images for the end-to-end tests, each with the bytes that a client must see. It neither serves nor reads them.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SECTOR } from './lsmt-layout.js';
import { writeLsmt, type LsmtSegment } from './lsmt-writer.js';
import { randomBytes, textBytes } from './pattern.js';
import { wrap, type Wrapper } from './wrapper.js';

/** A stack of layers on disk. */
export interface StackOnDisk {
  /** Bottom first. */
  layers: string[];
  /** Bytes. */
  virtualSize: number;
  /** The bytes of the disk in [offset, offset + length). */
  expected(offset: number, length: number): Buffer;
}

const GIB = 1024 ** 3;
const zfile = (algorithm: 'lz4' | 'zstd'): Wrapper => ({
  zfile: { algorithm, blockSize: 4096, verify: true, mode: 'trailer' },
  tar: 'none',
});
const WRAPPERS: readonly Wrapper[] = [
  zfile('lz4'),
  { zfile: null, tar: 'pax' },
  { ...zfile('zstd'), tar: 'ustar' },
];

/** Three layers over a disk of 5 GiB and 512 bytes: data at both ends and on both sides of 4 GiB, holes elsewhere. */
export function writeSparseStack(folder: string): StackOnDisk {
  const virtualSize = 5 * GIB + SECTOR;
  const sectors = virtualSize / SECTOR;
  const at4 = (4 * GIB) / SECTOR;
  const stacks: LsmtSegment[][] = [
    [data(1, 0, 300), data(2, at4 - 100, 200), data(3, sectors - 50, 50)],
    [data(4, 100, 77), { offset: at4 - 20, length: 13, zeroed: true }, data(5, at4 + 50, 10)],
    [data(6, 150, 50), { offset: 290, length: 20, zeroed: true }, data(7, sectors - 1, 1)],
  ];
  const layers = stacks.map((segments, i) => {
    const path = join(folder, `sparse${i}.obd`);
    writeFileSync(path, wrap(writeLsmt({ virtualSize, segments }), WRAPPERS[i] as Wrapper));
    return path;
  });
  return { layers, virtualSize, expected: (from, n) => overlay(stacks.flat(), from, n) };
}

/** The bytes of a raw image without structure, written to `path`. */
export function writeRaw(path: string, seed: number, length: number): Buffer {
  const bytes = randomBytes(seed, length);
  writeFileSync(path, bytes);
  return bytes;
}

/** One layer that covers the whole device, in an LZ4 ZFile of 4 KiB blocks. */
export function writeZfileLayer(path: string, seed: number, length: number): Buffer {
  const bytes = textBytes(seed, length);
  const segments = [{ offset: 0, length: length / SECTOR, data: bytes }];
  writeFileSync(path, wrap(writeLsmt({ virtualSize: length, segments }), zfile('lz4')));
  return bytes;
}

function data(seed: number, offset: number, length: number): LsmtSegment {
  return { offset, length, data: randomBytes(seed, length * SECTOR) };
}

/** Paints the segments, bottom first, over a window of zeros. */
function overlay(segments: readonly LsmtSegment[], from: number, n: number): Buffer {
  const out = Buffer.alloc(n);
  for (const { offset, length, data: bytes } of segments) {
    const begin = Math.max(offset * SECTOR, from);
    const end = Math.min((offset + length) * SECTOR, from + n);
    if (begin >= end) continue;
    if (bytes)
      out.set(bytes.subarray(begin - offset * SECTOR, end - offset * SECTOR), begin - from);
    else out.fill(0, begin - from, end - from);
  }
  return out;
}
