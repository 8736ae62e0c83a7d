// Extent trees: their runs in order, and what is refused.
import t, { type Test } from 'tap';
import { extentRuns } from '../../../daemon/ext4/extent-tree.js';
import { readInode } from '../../../daemon/ext4/inode.js';
import { Metadata } from '../../../daemon/ext4/metadata.js';
import { parseSuperblock } from '../../../daemon/ext4/superblock.js';
import { EXTENTS, Ext4Writer, extentNode, type WrittenExtent } from '../../support/ext4-writer.js';

/** @param nodes by block */
async function runs(
  root: Uint8Array,
  nodes: Readonly<Record<number, Uint8Array>> = {},
): Promise<number[][]> {
  const fs = new Ext4Writer();
  fs.inode(12, { kind: 'regular', flags: EXTENTS, blocks: root });
  for (const [block, node] of Object.entries(nodes)) fs.block(Number(block)).set(node);
  const sb = parseSuperblock(fs.superblock, fs.bytes.length, 'disk');
  const metadata = new Metadata(fs.device, sb);
  const found: number[][] = [];
  for await (const { logical, first, blocks } of extentRuns(
    metadata,
    await readInode(metadata, 12),
  )) {
    found.push([logical, first, blocks]);
  }
  return found;
}

await t.test('a leaf', async (test) => {
  const extents: WrittenExtent[] = [
    { logical: 0, length: 3, first: 100 },
    { logical: 3, length: 0x8000 + 2, first: 110 },
    { logical: 9, length: 1, first: 50 },
  ];
  test.same(await runs(extentNode(0, extents)), [
    [0, 100, 3],
    [9, 50, 1],
  ]);
  test.same(await runs(extentNode(0, [])), []);
});

await t.test('several levels', async (test) => {
  const found = await runs(
    extentNode(2, [
      { logical: 0, first: 100 },
      { logical: 90, first: 101 },
    ]),
    {
      100: extentNode(1, [
        { logical: 0, first: 102 },
        { logical: 20, first: 103 },
      ]),
      101: extentNode(1, [{ logical: 90, first: 104 }]),
      102: extentNode(0, [{ logical: 0, length: 1, first: 200 }]),
      103: extentNode(0, [
        { logical: 20, length: 1, first: 201 },
        { logical: 30, length: 2, first: 202 },
      ]),
      104: extentNode(0, [{ logical: 91, length: 1, first: 204 }]),
    },
  );
  test.same(found, [
    [0, 200, 1],
    [20, 201, 1],
    [30, 202, 2],
    [91, 204, 1],
  ]);
});

await t.test('what is refused', async (test) => {
  await refused(test, Buffer.alloc(60), 'expected 62218, got 0');
  await refused(test, extentNode(6, []), 'at most 5 levels below, got 6');
  const child = extentNode(1, [{ logical: 0, first: 100 }]);
  await refused(test, child, 'expected 0 levels below, got 1', { 100: child });
  const itself = extentNode(3, [{ logical: 0, first: 100 }]);
  await refused(test, itself, 'expected 1 levels below, got 2', {
    100: extentNode(2, [{ logical: 0, first: 100 }]),
  });
  const many = extentNode(0, []);
  many.writeUInt16LE(5, 2);
  await refused(test, many, 'at most 4 entries, got 5');
  await refused(
    test,
    extentNode(0, [{ logical: 0, length: 0, first: 100 }]),
    'expected blocks, got 0',
  );
  const past = { logical: 0, length: 2, first: 255 };
  await refused(test, extentNode(0, [past]), 'expected blocks from 1 to 255, got 255 to 256');
  await refused(test, extentNode(1, [{ logical: 0, first: 2 ** 40 }]), `got ${2 ** 40}`);
  const again = [
    { logical: 5, length: 2, first: 100 },
    { logical: 6, length: 1, first: 110 },
  ];
  await refused(test, extentNode(0, again), 'expected a block of the file from 7 on, got 6');
  const before = extentNode(1, [{ logical: 9, first: 100 }]);
  await refused(test, before, 'from 9 on, got 1', {
    100: extentNode(0, [{ logical: 1, length: 1, first: 110 }]),
  });
});

async function refused(
  test: Test,
  root: Uint8Array,
  text: string,
  nodes: Readonly<Record<number, Uint8Array>> = {},
): Promise<void> {
  const message = new RegExp(`^disk: ext4 extent tree of inode 12 at byte \\d+: .*${text}$`);
  await test.rejects(runs(root, nodes), { code: 'BAD_FORMAT', message });
}
