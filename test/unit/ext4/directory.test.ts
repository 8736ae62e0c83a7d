// Entries of directories: linear, of hash trees, inline; and what is refused.
import t from 'tap';
import { readDirectory, type Names } from '../../../daemon/ext4/directory.js';
import { readInode } from '../../../daemon/ext4/inode.js';
import { MAX_DIRECTORY_BYTES, MAX_DIRECTORY_NAMES } from '../../../daemon/ext4/limits.js';
import { Metadata } from '../../../daemon/ext4/metadata.js';
import { parseSuperblock } from '../../../daemon/ext4/superblock.js';
import {
  BLOCK,
  EXTENTS,
  Ext4Writer,
  INLINE,
  dirents,
  extentNode,
} from '../../support/ext4-writer.js';

async function names(fs: Ext4Writer): Promise<[string, number][]> {
  const metadata = new Metadata(fs.device, parseSuperblock(fs.superblock, fs.bytes.length, 'disk'));
  const found: Names = await readDirectory(metadata, await readInode(metadata, 12));
  return [...found];
}

/** A directory of some blocks. */
function written(...blocks: readonly Uint8Array[]): Ext4Writer {
  const fs = new Ext4Writer();
  for (const [i, block] of blocks.entries()) fs.block(100 + i).set(block);
  const tree = extentNode(0, [{ logical: 0, length: blocks.length, first: 100 }]);
  fs.inode(12, { kind: 'directory', size: blocks.length * BLOCK, flags: EXTENTS, blocks: tree });
  return fs;
}

await t.test('the names of all blocks, in their order', async (test) => {
  const first = dirents({ '.': 12, '..': 2, b: 20, deleted: 0, a: 21 }, BLOCK);
  const fs = written(first, dirents({ b: 22, 'n\u00e4me': 23 }, BLOCK));
  test.same(
    await names(fs),
    [
      ['b', 20],
      ['a', 21],
      ['n\u00e4me', 23],
    ],
    'the first of a name',
  );
});

await t.test('a hash tree', async (test) => {
  // Its root hides the tree after "..", and its nodes are one entry without an inode.
  const root = dirents({ '.': 12, '..': 2 }, BLOCK);
  root.fill(0xee, 24);
  const node = dirents({ '': 0 }, BLOCK);
  node.fill(0xee, 8);
  test.same(await names(written(root, node, dirents({ x: 30 }, BLOCK))), [['x', 30]]);
});

await t.test('names of two bytes of length', async (test) => {
  const fs = written(dirents({ a: 20 }, BLOCK));
  fs.superblock.writeUInt32LE(0x40, 0x60);
  test.same(await names(fs), [['a', 20]]);
  fs.block(100).writeUInt8(1, 7);
  test.same((await names(fs))[0]?.[0].length, 257);
});

await t.test('inline', async (test) => {
  const fs = new Ext4Writer();
  const first = Buffer.concat([Buffer.from([2, 0, 0, 0]), dirents({ a: 20, b: 21 }, 56)]);
  fs.inode(12, { kind: 'directory', size: 60, flags: INLINE, blocks: first });
  test.same(await names(fs), [
    ['a', 20],
    ['b', 21],
  ]);
  fs.inlineRest(12, dirents({ c: 22 }, 24));
  test.same(await names(fs), [
    ['a', 20],
    ['b', 21],
    ['c', 22],
  ]);
});

await t.test('entries that are damaged', async (test) => {
  for (const [length, nameLength] of [
    [0, 1],
    [4, 1],
    [10, 1],
    [8, 1],
    [12, 5],
    [BLOCK + 4, 1],
  ] as const) {
    const fs = written(dirents({ '.': 12, a: 20 }, BLOCK));
    fs.block(100).writeUInt16LE(length, 12 + 4);
    fs.block(100).writeUInt8(nameLength, 12 + 6);
    await test.rejects(names(fs), {
      code: 'BAD_FORMAT',
      message: `disk: ext4 directory 12 at byte 12: expected an entry within ${BLOCK} bytes, got ${length} bytes`,
    });
  }
});

await t.test('too large', async (test) => {
  const fs = written(dirents({ a: 20 }, BLOCK));
  fs.inodeBytes(12).writeUInt32LE(MAX_DIRECTORY_BYTES + 1, 4);
  await test.rejects(names(fs), {
    code: 'LIMIT',
    message: /directory 12 .* at most 16777216 bytes/,
  });
});

await t.test('too many names', async (test) => {
  const aBlock = 85;
  const blocks = Math.ceil((MAX_DIRECTORY_NAMES + 1) / aBlock);
  const fs = new Ext4Writer(100 + blocks);
  for (let i = 0; i < blocks; i++) {
    const entries = Array.from({ length: aBlock }, (_, n) => [(aBlock * i + n).toString(36), 20]);
    fs.block(100 + i).set(dirents(Object.fromEntries(entries), BLOCK));
  }
  const extents = extentNode(0, [{ logical: 0, length: blocks, first: 100 }]);
  const size = blocks * BLOCK;
  fs.inode(12, { kind: 'directory', size, flags: EXTENTS, blocks: extents });
  await test.rejects(names(fs), {
    code: 'LIMIT',
    message: /directory 12 .* at most 262144 names, got more$/,
  });
});
