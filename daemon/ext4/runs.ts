// Where the data of a file is, however the file system describes it.

import { mappedRuns } from './block-map.js';
import { extentRuns } from './extent-tree.js';
import type { Inode } from './inode.js';
import { MAX_FILE_RUNS } from './limits.js';
import type { Metadata } from './metadata.js';
import type { Run } from './run.js';

/**
 * The runs of a file, in the order of its data, up to its size. Holes are left out.
 * @throws OverlaybdError BAD_FORMAT, LIMIT, and what reading the metadata throws
 */
export async function* runsOf(metadata: Metadata, inode: Inode): AsyncGenerator<Run> {
  if (inode.hasInlineData) return;
  const blocks = Math.ceil(inode.size / metadata.superblock.blockSize);
  const runs = inode.hasExtents ? extentRuns(metadata, inode) : mappedRuns(metadata, inode, blocks);
  let count = 0;
  for await (const run of runs) {
    if (run.logical >= blocks) return;
    if (++count > MAX_FILE_RUNS) {
      const expected = `at most ${MAX_FILE_RUNS} runs of blocks`;
      throw metadata.damage(`inode ${inode.number}`, 0, expected, 'more', 'LIMIT');
    }
    yield { ...run, blocks: Math.min(run.blocks, blocks - run.logical) };
  }
}
