// Files of ext4 images that mke2fs has made: each has its own bytes, whatever the features of the file system are.
import { lstatSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Ext4 } from '../../../daemon/ext4/file-system.js';
import type { Inode } from '../../../daemon/ext4/inode.js';
import { MAX_PATH_BYTES } from '../../../daemon/ext4/limits.js';
import { deviceOf, ext4Folder, ext4Image, type Ext4Options } from '../../support/ext4-image.js';
import { EXTENTS, Ext4Writer, extentNode } from '../../support/ext4-writer.js';
import { requireTool } from '../../support/tools.js';

t.setTimeout(170_000);

const FORMS: Readonly<Record<string, Ext4Options>> = {
  'blocks of 4096 bytes': { args: ['-b', '4096'] },
  'blocks of 1024 bytes, hash trees': { args: ['-b', '1024'], hashTrees: true },
  'blocks of 4096 bytes, hash trees, 32-bit': {
    args: ['-b', '4096', '-O', '^64bit'],
    hashTrees: true,
  },
  'blocks of 64 KiB': { args: ['-b', '65536', '-O', '^has_journal'], size: '64M' },
  'block maps': { args: ['-b', '1024', '-O', '^extent,^64bit', '-I', '128'] },
  'inline data': { args: ['-b', '4096', '-O', 'inline_data', '-I', '256'] },
  'inline data, 1024': { args: ['-b', '1024', '-O', 'inline_data', '-I', '512'], hashTrees: true },
  'descriptors in their groups': {
    args: ['-b', '1024', '-g', '1024', '-N', '4096', '-O', 'meta_bg,^resize_inode,^flex_bg'],
  },
  'two copies of the superblock': {
    args: ['-b', '1024', '-g', '1024', '-N', '4096', '-O', 'sparse_super2,meta_bg,^resize_inode'],
  },
  'as ext2': { type: 'ext2', args: ['-b', '1024', '-O', '^sparse_super,^resize_inode,^filetype'] },
};

await t.test('a symlink of at most MAX_PATH_BYTES', async (test) => {
  const writer = new Ext4Writer();
  const blocks = extentNode(0, [{ logical: 0, length: 5, first: 150 }]);
  for (let i = 0; i < 5; i++) writer.block(150 + i).fill('x');
  const link = { kind: 'symlink', flags: EXTENTS, blocks } as const;
  writer.inode(20, { ...link, size: MAX_PATH_BYTES });
  writer.inode(21, { ...link, size: MAX_PATH_BYTES + 1 });
  const fs = (await Ext4.open(writer.device)) as Ext4;
  test.equal(await fs.target(await fs.inode(20)), 'x'.repeat(MAX_PATH_BYTES));
  const message = /a target of 1 to 4096 bytes, got 4097/;
  await test.rejects(
    fs.inode(21).then((inode) => fs.target(inode)),
    { message },
  );
});

const ZEROS = Buffer.alloc(4096);

if (requireTool(t, 'mke2fs', 'e2fsck')) {
  const folder = ext4Folder(t.testdir());
  for (const [what, options] of Object.entries(FORMS)) {
    await t.test(what, async (test) => {
      const bytes = await ext4Image(folder, join(test.testdir(), 'image'), options);
      const fs = (await Ext4.open(deviceOf(bytes))) as Ext4;
      await sameTree(test, fs, await fs.root(), folder, bytes);
    });
  }
}

async function sameTree(
  test: Test,
  fs: Ext4,
  directory: Inode,
  folder: string,
  bytes: Buffer,
): Promise<void> {
  const names = new Map(await fs.names(directory));
  names.delete('lost+found');
  const expected = readdirSync(folder, 'latin1');
  test.same([...names.keys()].toSorted(), expected.toSorted(), folder);
  for (const [name, number] of names) {
    const path = join(folder, name);
    const stat = lstatSync(path);
    const inode = await fs.inode(number);
    if (stat.isDirectory()) {
      await sameTree(test, fs, inode, path, bytes);
    } else if (stat.isSymbolicLink()) {
      test.equal(await fs.target(inode), readlinkSync(path));
    } else {
      const content = readFileSync(path);
      const isSame = inode.size === content.length && (await hasData(fs, inode, content, bytes));
      if (!isSame) test.fail(path);
    }
  }
}

/** Compares what is not zeros: the ranges leave out holes. */
async function hasData(fs: Ext4, inode: Inode, content: Buffer, bytes: Buffer): Promise<boolean> {
  if (inode.hasInlineData) return true;
  const parts: Buffer[] = [];
  for await (const { offset, length } of fs.ranges(inode)) {
    parts.push(bytes.subarray(offset, offset + length));
  }
  const found = Buffer.concat(parts);
  if (found.length >= content.length) return found.subarray(0, content.length).equals(content);
  return withoutHoles(found).equals(withoutHoles(content));
}

function withoutHoles(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length);
    if (!part.equals(ZEROS.subarray(0, part.length))) parts.push(part);
  }
  return Buffer.concat(parts);
}
