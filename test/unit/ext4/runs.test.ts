// Runs of a file: up to its size, and not without end.
import t from 'tap';
import { readInode } from '../../../daemon/ext4/inode.js';
import { MAX_FILE_RUNS } from '../../../daemon/ext4/limits.js';
import { Metadata } from '../../../daemon/ext4/metadata.js';
import { runsOf } from '../../../daemon/ext4/runs.js';
import { parseSuperblock } from '../../../daemon/ext4/superblock.js';
import { BLOCK, EXTENTS, Ext4Writer, INLINE, extentNode } from '../../support/ext4-writer.js';

async function runs(fs: Ext4Writer): Promise<number[][]> {
  const metadata = new Metadata(fs.device, parseSuperblock(fs.superblock, fs.bytes.length, 'disk'));
  const found: number[][] = [];
  for await (const { logical, first, blocks } of runsOf(metadata, await readInode(metadata, 12))) {
    found.push([logical, first, blocks]);
  }
  return found;
}

function written(size: number, flags = EXTENTS): Ext4Writer {
  const fs = new Ext4Writer();
  const blocks = extentNode(0, [
    { logical: 0, length: 4, first: 100 },
    { logical: 8, length: 4, first: 110 },
  ]);
  fs.inode(12, { kind: 'regular', size, flags, blocks });
  return fs;
}

await t.test('up to the size', async (test) => {
  test.same(await runs(written(2 ** 40)), [
    [0, 100, 4],
    [8, 110, 4],
  ]);
  test.same(await runs(written(9 * BLOCK + 1)), [
    [0, 100, 4],
    [8, 110, 2],
  ]);
  test.same(await runs(written(4 * BLOCK)), [[0, 100, 4]]);
  test.same(await runs(written(1)), [[0, 100, 1]]);
  test.same(await runs(written(0)), []);
});

await t.test('inline data has none', async (test) => {
  test.same(await runs(written(50, EXTENTS | INLINE)), []);
});

await t.test('too many', async (test) => {
  const fs = new Ext4Writer();
  const map = Buffer.alloc(60);
  map.writeUInt32LE(120, 4 * 14);
  fs.numbers(120, Array<number>(256).fill(120));
  fs.inode(12, { kind: 'regular', size: 2 ** 45, blocks: map });
  await test.rejects(runs(fs), {
    code: 'LIMIT',
    message: `disk: ext4 inode 12 at byte 0: expected at most ${MAX_FILE_RUNS} runs of blocks, got more`,
  });
});
