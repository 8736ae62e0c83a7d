// Inodes: where they are, and what is in them.
import t from 'tap';
import { inlineParts, readInode } from '../../../daemon/ext4/inode.js';
import { Metadata } from '../../../daemon/ext4/metadata.js';
import { parseSuperblock } from '../../../daemon/ext4/superblock.js';
import { EXTENTS, Ext4Writer, INLINE } from '../../support/ext4-writer.js';

function metadataOf({ superblock, bytes, device }: Ext4Writer): Metadata {
  return new Metadata(device, parseSuperblock(superblock, bytes.length, 'disk'));
}

await t.test('kinds, sizes and flags', async (test) => {
  const fs = new Ext4Writer();
  fs.inode(12, { kind: 'regular', size: 2 ** 33 + 5, flags: EXTENTS });
  fs.inode(13, { kind: 'directory', size: 2 ** 33 + 5, flags: INLINE });
  fs.inode(14, { kind: 'other' });
  fs.link(64, 'target');
  const metadata = metadataOf(fs);
  const regular = { kind: 'regular', size: 2 ** 33 + 5, hasExtents: true, hasInlineData: false };
  test.match(await readInode(metadata, 12), regular);
  const directory = { kind: 'directory', size: 5, hasExtents: false, hasInlineData: true };
  test.match(await readInode(metadata, 13), directory);
  test.match(await readInode(metadata, 14), { kind: 'other', size: 0 });
  const link = await readInode(metadata, 64);
  test.match(link, { kind: 'symlink', size: 6 });
  test.equal(Buffer.from(link.blocks).toString('latin1', 0, 6), 'target');
  fs.superblock.writeUInt32LE(0x2 | 0x4000, 0x60);
  test.equal((await readInode(metadataOf(fs), 13)).size, 2 ** 33 + 5, 'large directories');
});

await t.test('an inode keeps no page in memory', async (test) => {
  const { bytes, blocks } = await readInode(metadataOf(new Ext4Writer()), 12);
  test.equal(bytes.buffer.byteLength, 256);
  test.equal(blocks.buffer, bytes.buffer);
});

await t.test('inodes that are not there', async (test) => {
  const metadata = metadataOf(new Ext4Writer());
  for (const number of [0, 65, 0xffff_ffff]) {
    await test.rejects(readInode(metadata, number), {
      code: 'BAD_FORMAT',
      message: `disk: ext4 inode ${number} at byte 0: expected an inode from 1 to 64, got ${number}`,
    });
  }
});

await t.test('a table that is not there', async (test) => {
  const fs = new Ext4Writer();
  fs.block(2).writeUInt32LE(999, 8);
  const message = /^disk: ext4 inode 12 at byte 0: expected blocks from 1 to 255, got 10\d\d$/;
  await test.rejects(readInode(metadataOf(fs), 12), { code: 'BAD_FORMAT', message });
});

/** Four groups of 64 blocks, with 8 inodes each. */
function grouped(incompat: number, change: (sb: Buffer) => unknown = () => undefined): Ext4Writer {
  const fs = new Ext4Writer(257);
  fs.superblock.writeUInt32LE(64, 0x20);
  fs.superblock.writeUInt32LE(8, 0x28);
  fs.superblock.writeUInt32LE(32, 0x00);
  fs.superblock.writeUInt32LE(incompat, 0x60);
  change(fs.superblock);
  return fs;
}

await t.test('descriptors with 64 bytes', async (test) => {
  const fs = grouped(0x80, (sb) => sb.writeUInt16LE(64, 0xfe));
  fs.block(2).writeUInt32LE(200, 2 * 64 + 8);
  fs.block(200).writeUInt16LE(0o100644, 0);
  const metadata = metadataOf(fs);
  test.equal((await readInode(metadata, 17)).kind, 'regular');
  fs.block(2).writeUInt32LE(1, 2 * 64 + 0x28);
  const message = new RegExp(`got ${2 ** 32 + 200}$`);
  await test.rejects(readInode(metadataOf(fs), 17), { code: 'BAD_FORMAT', message });
});

await t.test('descriptors in their groups', async (test) => {
  // A descriptor fills a block: that of group 2 is at the beginning of group 2, after no copy of the superblock.
  for (const [hasCopies, block] of [
    [false, 1 + 2 * 64],
    [true, 1 + 2 * 64 + 1],
  ] as const) {
    const fs = grouped(0x80 | 0x10, (sb) => {
      sb.writeUInt16LE(1024, 0xfe);
      sb.writeUInt32LE(1, 0x104);
      if (hasCopies) sb.writeUInt32LE(0, 0x64);
    });
    fs.block(block).writeUInt32LE(210, 8);
    fs.block(210).writeUInt16LE(0o100644, 0);
    test.equal((await readInode(metadataOf(fs), 17)).kind, 'regular');
  }
});

await t.test('blocks of 1024 bytes that begin at 0', async (test) => {
  const fs = grouped(0, (sb) => sb.writeUInt32LE(0, 0x14));
  fs.block(2).writeUInt32LE(200, 8);
  fs.block(200).writeUInt16LE(0o100644, 0);
  test.equal((await readInode(metadataOf(fs), 1)).kind, 'regular');
});

await t.test('inline data in two parts', async (test) => {
  const fs = new Ext4Writer();
  const rest = async (): Promise<string> => {
    const metadata = metadataOf(fs);
    const [first, second] = inlineParts(metadata, await readInode(metadata, 12));
    test.equal(first.length, 60);
    return Buffer.from(second).toString('latin1');
  };
  fs.inode(12, { kind: 'regular', size: 70, flags: INLINE });
  test.equal(await rest(), '');
  fs.inlineRest(12, Buffer.from('the rest'));
  test.equal(await rest(), 'the rest');
  fs.inodeBytes(12).writeUInt32LE(69, 128 + 32 + 12);
  await test.rejects(rest(), {
    code: 'BAD_FORMAT',
    message: 'disk: ext4 inode 12 at byte 164: expected inline data within the inode, got 69 bytes',
  });
  fs.inodeBytes(12).writeUInt32LE(0, 128 + 32);
  test.equal(await rest(), '', 'no extended attributes');
  fs.inodeBytes(12).writeUInt16LE(0xffff, 0x80);
  test.equal(await rest(), '');
});
