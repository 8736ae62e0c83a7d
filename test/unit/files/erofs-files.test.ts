// Files of a disk that is an EROFS image, of which only what is needed is read.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { allBytes } from '../../../daemon/files/all-bytes.js';
import { erofsRoot } from '../../../daemon/files/erofs-files.js';
import { findFile } from '../../../daemon/files/find.js';
import type { ImageFile } from '../../../daemon/files/image-file.js';
import {
  listingLines,
  listings,
  type EachFile,
  type ListOptions,
} from '../../../daemon/files/listing.js';
import { treeLines as drawnLines } from '../../../daemon/files/tree-text.js';
import { writeComposefs, type ImageFile as Written } from '../../support/composefs-writer.js';
import { BLOCK, writeDevices } from '../../support/erofs-devices-writer.js';
import { writeErofs } from '../../../daemon/erofs/write.js';
import { mergeLayers } from '../../../daemon/tree/merge.js';
import { deviceOf } from '../../support/erofs/device.js';
import { MIXED, MIXED_SOURCE_SIZE } from '../../support/erofs/mixed.js';
import { readErofs } from '../../support/erofs/reader.js';
import { treeLines } from '../../support/erofs/tree-lines.js';
import { imageFileLines } from '../../support/image-file-lines.js';
import { expectedTree, requireLazyFixtures } from '../../support/lazy-fixtures.js';
import { randomBytes } from '../../support/pattern.js';
import { treeOf } from '../../support/trees.js';

const FILE = 0o100644;
const FOLDER = 0o40755;

/** A disk that counts what is read of it. */
function diskOf(bytes: Buffer): {
  name: string;
  size: number;
  read: never;
  done: { count: number };
} {
  const done = { count: 0 };
  const read = (offset: number, length: number): Promise<Buffer> => {
    const part = bytes.subarray(offset, offset + length);
    done.count += part.length;
    return Promise.resolve(part);
  };
  return { name: 'disk', size: bytes.length, read: read as never, done };
}

async function rootOf(t: Test, bytes: Buffer): Promise<ImageFile> {
  const root = await erofsRoot(diskOf(bytes));
  if (!root) throw new Error('not an EROFS image');
  t.equal((await root.stat()).type, 'dir');
  return root;
}

async function bytesOf(root: ImageFile, path: string): Promise<Buffer> {
  const { file } = await findFile(root, path, true);
  const parts: Buffer[] = [];
  for await (const part of allBytes(path, file)) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

await test('attributes, names, targets, xattrs', async (t) => {
  const files: Written[] = [
    { path: '', mode: 0o41777, mtime: 5 },
    { path: 'a', mode: FOLDER, uid: 1, gid: 2 },
    { path: 'a/f', mode: 0o104755, nlink: 2, inline: 'contents', xattrs: { 'user.x': 'y' } },
    { path: 'a/g', mode: 0, linkTo: 'a/f' },
    { path: 'a/l', mode: 0o120777, inline: '../there' },
    { path: 'a/null', mode: 0o20666, device: 0x103 },
    { path: 'old', mode: FILE, mtime: -7, mtimeNs: 3, inline: '' },
  ];
  const root = await rootOf(t, writeComposefs(files).bytes);
  t.same(await root.names(), ['a', 'old']);
  t.equal(await root.child('b'), null);
  t.match(await root.stat(), { mode: 0o1777, mtime: 5, target: '', layer: null, rdev: null });
  const find = async (path: string): Promise<ImageFile> => (await findFile(root, path, false)).file;
  t.match(await (await find('a')).stat(), { type: 'dir', uid: 1, gid: 2, size: 0 });
  const file = await find('a/f');
  t.match(await file.stat(), { type: 'reg', mode: 0o4755, size: 8, nlink: 2 });
  t.equal((await find('a/g')).inode, file.inode);
  t.same([...(await file.xattrs())], [['user.x', Buffer.from('y')]]);
  t.equal((await bytesOf(root, 'a/f')).toString(), 'contents');
  t.same(await file.names(), []);
  t.match(await (await find('a/l')).stat(), { type: 'symlink', target: '../there', size: 8 });
  t.match(await (await find('a/null')).stat(), { type: 'char', rdev: { major: 1, minor: 3 } });
  t.match(await (await find('old')).stat(), { mtime: -7, mtimeNs: 3, size: 0 });
  t.equal((await bytesOf(root, 'old')).length, 0);
});

await test('sockets are left out', async (t) => {
  const files = [
    { path: '', mode: FOLDER },
    { path: 'f', mode: FILE, inline: '1' },
    { path: 's', mode: 0o140755 },
  ];
  const root = await rootOf(t, writeComposefs(files).bytes);
  t.same(await root.names(), ['f']);
  t.equal(await root.child('s'), null);
});

/** An image with metadata in many pages. */
const MANY = writeComposefs([
  { path: '', mode: FOLDER },
  ...Array.from({ length: 60 }, (_, i): Written[] => [
    { path: `d${i}`, mode: FOLDER },
    { path: `d${i}/f`, mode: FILE, inline: 'x'.repeat(3000), xattrs: { 'user.x': `d${i}` } },
    { path: `d${i}/l`, mode: 0o120777, inline: `d${i}-target` },
  ]).flat(),
]).bytes;

/** An image with a device after it, which begins at a block. */
const written = (end: number): Buffer =>
  writeDevices(
    [
      { path: '', mode: FOLDER },
      {
        path: 'file',
        mode: FILE,
        size: 4 * BLOCK + 100,
        chunks: [[1, 3], [1, 4], null, [1, 0], [0, end + 7]],
      },
    ],
    [{ blocks: 40, firstBlock: end }],
  ).bytes;

await test('chunks of the image and of a device after it, and holes; only what is needed is read', async (t) => {
  const noise = randomBytes(1, 40 * BLOCK);
  const end = written(9999).length / BLOCK;
  const image = written(end);
  const zeros = Buffer.alloc(64 << 20);
  const disk = diskOf(Buffer.concat([image, noise, zeros]));
  const root = await erofsRoot(disk);
  if (!root) throw new Error('not an EROFS image');
  const block = (i: number): Buffer => noise.subarray(i * BLOCK, (i + 1) * BLOCK);
  const expected = [block(3), block(4), Buffer.alloc(BLOCK), block(0), block(7).subarray(0, 100)];
  t.ok((await bytesOf(root, 'file')).equals(Buffer.concat(expected)));
  t.ok(disk.done.count < 1 << 20, `${disk.done.count} bytes`);
  // The device is not in the disk.
  t.equal(await erofsRoot(diskOf(image)), null);
});

await test('what is no image, or needs a program', async (t) => {
  const { bytes } = writeComposefs([{ path: '', mode: FOLDER }]);
  t.equal(await erofsRoot(diskOf(Buffer.alloc(8192))), null);
  t.equal(await erofsRoot(diskOf(bytes.subarray(0, 1100))), null);
  for (const bit of [1, 2, 0x10, 0x20, 0x100, 0x800000]) {
    const other = Buffer.from(bytes);
    other.writeUInt32LE(bit, 1024 + 80);
    t.equal(await erofsRoot(diskOf(other)), null, `feature ${bit}`);
  }
});

await test('everything that our own writer makes', async (t) => {
  const made = writeErofs(mergeLayers([treeOf(MIXED)]), { uuidSeed: [] });
  const read = deviceOf(made, [randomBytes(1, MIXED_SOURCE_SIZE)]);
  const expected = treeLines(readErofs(read, made.deviceSize).entries);
  const root = await rootOf(t, Buffer.from(read(0, made.deviceSize)));
  t.same(await imageFileLines(root), expected);
});

await test('fixtures of mkfs.erofs', async (t) => {
  const fixtures = requireLazyFixtures(t);
  if (fixtures === null) return;
  for (const [folder, file] of [
    ['f50-erofs-plain', 'image.erofs'],
    ['f50-erofs-plain', 'extended.erofs'],
    ['f52-erofs-512-blocks', 'image.erofs'],
  ] as const) {
    const root = await rootOf(t, readFileSync(join(fixtures, folder, file)));
    const expected = expectedTree(fixtures, folder, 'expected.tree.jsonl');
    t.same(await imageFileLines(root), expected, `${folder}/${file}`);
  }
});

await test('compressed files without a program: names and attributes', async (t) => {
  const fixtures = requireLazyFixtures(t);
  if (fixtures === null) return;
  const bytes = readFileSync(join(fixtures, 'f53-erofs-lz4/image.erofs'));
  t.equal(await erofsRoot(diskOf(bytes)), null);
  const root = await erofsRoot(diskOf(bytes), new Error('no program'));
  if (!root) throw new Error('not an EROFS image');
  const { file } = await findFile(root, 'etc/passwd', true);
  t.ok((await file.stat()).size > 0);
  await t.rejects(bytesOf(root, 'etc/passwd'), {
    code: 'PROGRAM_MISSING',
    message: 'disk: its contents are compressed: no program',
  });
});

await test('a folder of 24 MB, and files that no device can have', async (t) => {
  const { bytes: small, inodes } = writeComposefs([
    { path: '', mode: FOLDER },
    { path: 'hole', mode: FILE, size: 100_000 },
  ]);
  const begin = small.length;
  const folder = Buffer.alloc(6000 * BLOCK);
  for (let i = 0; i < 6000; i++) {
    // Two names a block: the number, then what fills the block.
    const at = i * BLOCK;
    const nid = ((inodes.get('hole') as number) / 32) >>> 0;
    for (const [j, from] of [24, 124].entries()) {
      folder.writeUInt32LE(nid, at + 12 * j);
      folder.writeUInt16LE(from, at + 12 * j + 8);
    }
    folder.write(`a${i}`.padEnd(100, '-'), at + 24, 'latin1');
    folder.write(`b${i}`, at + 124, 'latin1');
  }
  const bytes = Buffer.concat([small, folder]);
  bytes.writeUInt32LE(bytes.length / BLOCK, 1024 + 36);
  // The folder takes the place of the root.
  const root = inodes.get('') as number;
  bytes.writeUInt16LE(1, root);
  bytes.writeUInt32LE(folder.length, root + 8);
  bytes.writeUInt32LE(begin / BLOCK, root + 16);
  const files = await rootOf(t, bytes);
  t.equal((await files.names()).length, 12_000);
  t.equal((await bytesOf(files, 'b5999')).length, 100_000);
  bytes.writeUInt32LE(0x1000, (inodes.get('hole') as number) + 12);
  // All of it is one chunk that is a hole.
  bytes.writeUInt32LE(0x1f, (inodes.get('hole') as number) + 16);
  await t.rejects(bytesOf(await rootOf(t, bytes), 'b7'), { code: 'LIMIT' });
});

await test('one damaged symlink does not end a list', async (t) => {
  const { bytes, inodes } = writeComposefs([
    { path: '', mode: FOLDER },
    { path: 'a', mode: FOLDER },
    { path: 'a/f', mode: FILE, inline: '1' },
    { path: 'a/l', mode: 0o120777, inline: '../there' },
    { path: 'a/m', mode: 0o120777, inline: 'f' },
    { path: 'b', mode: FOLDER },
    { path: 'b/g', mode: FILE, inline: '2' },
  ]);
  bytes.writeUInt32LE(5000, (inodes.get('a/l') as number) + 8);
  const root = await rootOf(t, bytes);
  const failed: string[] = [];
  const each: EachFile = {
    tried: async (work) => {
      try {
        return await work();
      } catch (error) {
        failed.push((error as Error).message);
        return null;
      }
    },
  };
  const linesOf = async (options: Partial<ListOptions>): Promise<string[]> => {
    const lines: string[] = [];
    const all = { all: true, recursive: false, itself: false, long: false, ...options };
    for await (const list of listings(root, [options.long ? 'a' : ''], all, each)) {
      const form = { long: all.long, withHeading: !all.long, show: (name: string) => name };
      for await (const line of listingLines(list, form)) lines.push(line);
    }
    return lines;
  };
  t.same(await linesOf({ recursive: true }), [':', 'a', 'b', '/a:', 'f', 'm', '/b:', 'g']);
  t.match(await linesOf({ long: true }), [/ f$/, / m -> f$/]);
  const found = await findFile(root, '', true);
  const options = { all: true, depth: Infinity };
  const tree: string[] = [];
  for await (const line of drawnLines('.', found, options, (name) => name, each)) tree.push(line);
  t.equal(tree.at(-1), '2 directories, 3 files');
  t.equal(failed.length, 3);
  for (const message of failed) t.match(message, /a target of at most \d+ bytes, got 5000/);
});

await test('more folders and files than pages that are kept', async (t) => {
  const root = await erofsRoot(diskOf(MANY), null, 1);
  if (!root) throw new Error('not an EROFS image');
  const folders = await root.names();
  t.equal(folders.length, 60);
  for (const folder of folders) {
    const child = await root.child(folder);
    t.same(await child?.names(), ['f', 'l']);
    t.match(await (await child?.child('l'))?.stat(), { target: `${folder}-target` });
    const file = await child?.child('f');
    t.same([...((await file?.xattrs()) ?? [])], [['user.x', Buffer.from(folder)]]);
  }
});

await test('damaged images end in an error, or in a tree', async (t) => {
  const files: Written[] = [
    { path: '', mode: FOLDER },
    { path: 'a', mode: FOLDER, xattrs: { 'user.x': 'y' } },
    { path: 'a/f', mode: FILE, inline: 'contents', xattrs: { 'security.x': 'y' } },
    { path: 'a/l', mode: 0o120777, inline: '../there' },
    { path: 'hole', mode: FILE, size: 100_000 },
  ];
  const { bytes, inodes } = writeComposefs(files);
  const places = [1024, ...inodes.values()];
  const random = randomBytes(7, 4000);
  let errors = 0;
  let most = 0;
  for (let i = 0; i < 2000; i++) {
    const damaged = Buffer.from(bytes);
    const at =
      (places[i % places.length] as number) +
      ((random[2 * i] as number) % (i % 2 === 0 ? 64 : 200));
    damaged[at % damaged.length] = random[2 * i + 1] as number;
    try {
      const root = await erofsRoot(diskOf(damaged));
      for (const path of ['', 'a', 'a/f', 'a/l', 'hole']) {
        const { file } = root ? await findFile(root, path, false) : { file: null };
        if (!file) continue;
        await file.names();
        await file.xattrs();
        const { type, size } = await file.stat();
        if (type !== 'reg' || size > 1 << 20) continue;
        for await (const part of allBytes(path, file)) most = Math.max(most, part.length);
      }
    } catch (error) {
      errors++;
      if ((error as Error).name !== 'OverlaybdError') t.fail(String((error as Error).stack));
    }
  }
  t.ok(most <= 1 << 20, `${most} bytes at a time`);
  t.ok(errors > 100, `${errors} errors`);
});

await test('blocks of a file that has no first one are zeros', async (t) => {
  const files: Written[] = [
    { path: '', mode: FOLDER },
    { path: 'file', mode: FILE, inline: randomBytes(1, 3 * BLOCK) },
    { path: 'folder', mode: FOLDER },
  ];
  const { bytes, inodes } = writeComposefs(files);
  const at = inodes.get('file') as number;
  bytes.writeUInt32LE(0xffff_ffff, at + 16);
  t.ok((await bytesOf(await rootOf(t, bytes), 'file')).equals(Buffer.alloc(3 * BLOCK)));
  // The last bytes follow the inode.
  bytes.writeUInt16LE(bytes.readUInt16LE(at) | (2 << 1), at);
  bytes.writeUInt32LE(2 * BLOCK + 3, at + 8);
  bytes.set([1, 2, 3], at + 64);
  const tail = Buffer.concat([Buffer.alloc(2 * BLOCK), Buffer.from([1, 2, 3])]);
  t.ok((await bytesOf(await rootOf(t, bytes), 'file')).equals(tail));
  // The names of a folder cannot be there.
  const folder = inodes.get('folder') as number;
  bytes.writeUInt16LE(1, folder);
  bytes.writeUInt32LE(0xffff_ffff, folder + 16);
  const { file } = await findFile(await rootOf(t, bytes), 'folder', true);
  await t.rejects(file.names(), {
    code: 'BAD_FORMAT',
    message: /expected a first block, got none/,
  });
});
