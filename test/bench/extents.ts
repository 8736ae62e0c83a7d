// Finds which parts of the raw image a layer would hold; it reads, and writes nothing.
import { readSync } from 'node:fs';
import { SECTOR } from '../support/lsmt-layout.js';
import type { LsmtSegment } from '../support/lsmt-writer.js';

export type Extent = Pick<LsmtSegment, 'offset' | 'length'>;

/** File systems write whole blocks. */
const BLOCK = 4096;
const CHUNK = 1 << 20;
const ZEROS = Buffer.alloc(BLOCK);

/** mkfs writes only the superblock in smaller pieces: 1 KiB at byte 1024. */
const SUPERBLOCK: Extent = { offset: 2, length: 2 };

/**
 * All blocks that are not zero, joined. As in layers that the reference has made, the first extent
 * is the two sectors of the superblock, which is why later data is not aligned to blocks of the
 * blob.
 * @param size bytes, a multiple of 4096
 */
export function findExtents(fd: number, size: number): Extent[] {
  const extents: Extent[] = [];
  const chunk = Buffer.alloc(CHUNK);
  for (let at = 0; at < size; at += CHUNK) {
    const n = readSync(fd, chunk, 0, Math.min(CHUNK, size - at), at);
    for (let within = 0; within < n; within += BLOCK) {
      if (ZEROS.compare(chunk, within, within + BLOCK) === 0) continue;
      if (at + within === 0) extents.push(SUPERBLOCK);
      else append(extents, (at + within) / SECTOR);
    }
  }
  checkFirstBlock(fd);
  return extents;
}

function append(extents: Extent[], offset: number): void {
  const last = extents.at(-1);
  const length = BLOCK / SECTOR;
  if (last && last.offset + last.length === offset) last.length += length;
  else extents.push({ offset, length });
}

/** The rest of the first block is left out, so it must be zero. */
function checkFirstBlock(fd: number): void {
  const block = Buffer.alloc(BLOCK);
  readSync(fd, block, 0, BLOCK, 0);
  const { offset, length } = SUPERBLOCK;
  block.fill(0, offset * SECTOR, (offset + length) * SECTOR);
  if (!block.equals(ZEROS)) throw new Error('ext4 image: block 0 holds more than the superblock');
}

/**
 * Deals extents out to layers the way a container image has them: the bottom one has what mkfs
 * left and little else, the others have parts of the files all over the device.
 */
export function dealExtents(extents: readonly Extent[], layers: number): Extent[][] {
  const dealt = Array.from({ length: layers }, (): Extent[] => []);
  const pieces = extents.flatMap(cut);
  for (const [i, piece] of pieces.entries()) {
    const layer = i < pieces.length / 16 ? 0 : 1 + (i % (layers - 1));
    dealt[layer]?.push(piece);
  }
  return dealt;
}

/** In sectors; some files are longer, most are shorter. */
const PIECE = (256 * 1024) / SECTOR;

function cut({ offset, length }: Extent): Extent[] {
  const pieces: Extent[] = [];
  for (let done = 0; done < length; done += PIECE) {
    pieces.push({ offset: offset + done, length: Math.min(PIECE, length - done) });
  }
  return pieces;
}
