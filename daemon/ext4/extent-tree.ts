// Where the data of a file is: its extent tree.

import { TWO_32, viewOf } from '../lib/bytes.js';
import {
  EXTENT_HEADER,
  EXTENT_INDEX,
  EXTENT_LEAF,
  EXTENT_MAGIC,
  EXTENT_SIZE,
  MAX_WRITTEN_LENGTH,
} from './format.js';
import type { Inode } from './inode.js';
import { MAX_EXTENT_DEPTH } from './limits.js';
import type { Metadata } from './metadata.js';
import type { Run } from './run.js';

/**
 * The runs of blocks of an inode, in the order of its data. What is allocated and not written is left out.
 * @throws OverlaybdError BAD_FORMAT, and what reading the tree throws
 */
export async function* extentRuns(metadata: Metadata, inode: Inode): AsyncGenerator<Run> {
  const section = `extent tree of inode ${inode.number}`;
  let next = 0;
  yield* node(inode.blocks, null);

  /** @param depth that the parent expects; null: of the root */
  async function* node(bytes: Uint8Array, depth: number | null): AsyncGenerator<Run> {
    const view = viewOf(bytes);
    const count = checkHeader(view, depth);
    const here = view.getUint16(EXTENT_HEADER.depth, true);
    for (let i = 1; i <= count; i++) {
      const at = i * EXTENT_SIZE;
      const logical = view.getUint32(at + EXTENT_LEAF.logical, true);
      // Growing numbers also bound how many there are.
      if (logical < next) {
        throw metadata.damage(section, at, `a block of the file from ${next} on`, logical);
      }
      next = logical;
      if (here > 0) {
        const high = view.getUint16(at + EXTENT_INDEX.leafHigh, true);
        const block = view.getUint32(at + EXTENT_INDEX.leafLow, true) + high * TWO_32;
        yield* node(await metadata.block(block, section), here - 1);
        continue;
      }
      const length = view.getUint16(at + EXTENT_LEAF.length, true);
      const isWritten = length <= MAX_WRITTEN_LENGTH;
      const blocks = isWritten ? length : length - MAX_WRITTEN_LENGTH;
      const high = view.getUint16(at + EXTENT_LEAF.startHigh, true);
      const first = view.getUint32(at + EXTENT_LEAF.startLow, true) + high * TWO_32;
      if (blocks === 0) throw metadata.damage(section, at, 'blocks', 0);
      metadata.checkBlocks(first, blocks, section);
      next = logical + blocks;
      if (isWritten) yield { logical, first, blocks };
    }
  }

  /** @returns the number of entries */
  function checkHeader(view: DataView, expected: number | null): number {
    const magic = view.getUint16(EXTENT_HEADER.magic, true);
    if (magic !== EXTENT_MAGIC) throw metadata.damage(section, 0, `${EXTENT_MAGIC}`, magic);
    const depth = view.getUint16(EXTENT_HEADER.depth, true);
    if (depth > MAX_EXTENT_DEPTH || (expected !== null && depth !== expected)) {
      const levels = expected ?? `at most ${MAX_EXTENT_DEPTH}`;
      throw metadata.damage(section, EXTENT_HEADER.depth, `${levels} levels below`, depth);
    }
    const most = Math.floor(view.byteLength / EXTENT_SIZE) - 1;
    const count = view.getUint16(EXTENT_HEADER.entries, true);
    if (count <= most) return count;
    throw metadata.damage(section, EXTENT_HEADER.entries, `at most ${most} entries`, count);
  }
}
