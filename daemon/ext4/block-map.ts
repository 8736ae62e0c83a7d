// Where the data of a file is: its block map, as ext2 and ext3 have it.

import { viewOf } from '../lib/bytes.js';
import { DIRECT_BLOCKS, INDIRECT_LEVELS } from './format.js';
import type { Inode } from './inode.js';
import type { Metadata } from './metadata.js';
import type { Run } from './run.js';

/**
 * The runs of blocks of an inode, in the order of its data. Blocks that follow each other are one run.
 * @param blocks of the file: further ones are not looked at
 * @throws OverlaybdError BAD_FORMAT, and what reading the map throws
 */
export async function* mappedRuns(
  metadata: Metadata,
  inode: Inode,
  blocks: number,
): AsyncGenerator<Run> {
  const section = `block map of inode ${inode.number}`;
  const aBlock = metadata.superblock.blockSize / 4;
  let run: Run | null = null;
  let logical = 0;
  for (let i = 0; i < DIRECT_BLOCKS; i++) yield* take(numberAt(inode.blocks, i));
  for (let level = 1; level <= INDIRECT_LEVELS; level++) {
    yield* indirect(numberAt(inode.blocks, DIRECT_BLOCKS - 1 + level), level);
  }
  if (run) yield run;

  /** @param level of the block: 1 has numbers of data */
  async function* indirect(number: number, level: number): AsyncGenerator<Run> {
    if (logical >= blocks) return;
    if (number === 0) {
      logical += aBlock ** level;
      return;
    }
    const numbers = await metadata.block(number, section);
    for (let i = 0; i < aBlock && logical < blocks; i++) {
      if (level === 1) yield* take(numberAt(numbers, i));
      else yield* indirect(numberAt(numbers, i), level - 1);
    }
  }

  /** @param number of the next block of data; 0: a hole */
  function* take(number: number): Generator<Run> {
    const here = logical++;
    if (number === 0 || here >= blocks) return;
    metadata.checkBlocks(number, 1, section);
    if (run && run.logical + run.blocks === here && run.first + run.blocks === number) {
      run = { ...run, blocks: run.blocks + 1 };
      return;
    }
    const before = run;
    run = { logical: here, first: number, blocks: 1 };
    if (before) yield before;
  }
}

function numberAt(numbers: Uint8Array, i: number): number {
  return viewOf(numbers).getUint32(4 * i, true);
}
