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
  yield* runsIn(inode.blocks, DIRECT_BLOCKS);
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
    if (level === 1) yield* runsIn(numbers, aBlock);
    else for (let i = 0; i < aBlock; i++) yield* indirect(numberAt(numbers, i), level - 1);
  }

  /** The runs that end in these numbers of blocks of data. 0 is a hole. */
  function* runsIn(numbers: Uint8Array, count: number): Generator<Run> {
    const view = viewOf(numbers);
    for (let i = 0; i < count && logical < blocks; i++, logical++) {
      const number = view.getUint32(4 * i, true);
      if (number === 0) continue;
      metadata.checkBlocks(number, 1, section);
      const goesOn =
        run && run.logical + run.blocks === logical && run.first + run.blocks === number;
      if (run && goesOn) {
        run = { ...run, blocks: run.blocks + 1 };
        continue;
      }
      if (run) yield run;
      run = { logical, first: number, blocks: 1 };
    }
  }
}

function numberAt(numbers: Uint8Array, i: number): number {
  return viewOf(numbers).getUint32(4 * i, true);
}
