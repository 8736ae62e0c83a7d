// Block maps: direct blocks, then three levels of blocks of numbers; holes at every level.
import t from 'tap';
import { mappedRuns } from '../../../daemon/ext4/block-map.js';
import { readInode } from '../../../daemon/ext4/inode.js';
import { Metadata } from '../../../daemon/ext4/metadata.js';
import { parseSuperblock } from '../../../daemon/ext4/superblock.js';
import { Ext4Writer } from '../../support/ext4-writer.js';

/** Numbers in a block. */
const MANY = 256;

/**
 * @param map numbers of the inode, by place
 * @param numbers in blocks, by block, then by place
 */
async function runs(
  map: Readonly<Record<number, number>>,
  numbers: Readonly<Record<number, Readonly<Record<number, number>>>> = {},
  blocks = Infinity,
): Promise<number[][]> {
  const fs = new Ext4Writer();
  const root = Buffer.alloc(60);
  for (const [place, number] of Object.entries(map)) root.writeUInt32LE(number, 4 * Number(place));
  fs.inode(12, { kind: 'regular', blocks: root });
  for (const [block, entries] of Object.entries(numbers)) {
    for (const [place, number] of Object.entries(entries)) {
      fs.block(Number(block)).writeUInt32LE(number, 4 * Number(place));
    }
  }
  const metadata = new Metadata(fs.device, parseSuperblock(fs.superblock, fs.bytes.length, 'disk'));
  const found: number[][] = [];
  for await (const run of mappedRuns(metadata, await readInode(metadata, 12), blocks)) {
    found.push([run.logical, run.first, run.blocks]);
  }
  return found;
}

await t.test('direct blocks, joined', async (test) => {
  const map = { 0: 100, 1: 101, 2: 103, 4: 104, 11: 90 };
  test.same(await runs(map), [
    [0, 100, 2],
    [2, 103, 1],
    [4, 104, 1],
    [11, 90, 1],
  ]);
  test.same(await runs({}), []);
});

await t.test('a run goes on from level to level', async (test) => {
  const found = await runs(
    { 11: 100, 12: 110, 13: 111 },
    { 110: { 0: 101, [MANY - 1]: 102 }, 111: { 0: 112 }, 112: { 0: 103 } },
  );
  test.same(found, [
    [11, 100, 2],
    [11 + MANY, 102, 2],
  ]);
});

await t.test('three levels, with holes', async (test) => {
  const found = await runs({ 14: 110 }, { 110: { 1: 111 }, 111: { 2: 112 }, 112: { 3: 200 } });
  test.same(found, [[12 + MANY + MANY ** 2 + MANY ** 2 + 2 * MANY + 3, 200, 1]]);
});

await t.test('the end of the file', async (test) => {
  const numbers = { 110: { 0: 120, 1: 121, 2: 122 } };
  test.same(await runs({ 0: 100, 12: 110 }, numbers, 14), [
    [0, 100, 1],
    [12, 120, 2],
  ]);
  test.same(await runs({ 0: 100, 12: 9999 }, {}, 12), [[0, 100, 1]], 'the rest is not read');
});

await t.test('numbers of blocks that are not there', async (test) => {
  for (const map of [{ 3: 256 }, { 13: 0xffff_ffff }]) {
    await test.rejects(runs(map), {
      code: 'BAD_FORMAT',
      message: /^disk: ext4 block map of inode 12 at byte 0: expected blocks from 1 to 255, got /,
    });
  }
});
