// Files of a disk that is an EROFS image, of which only what is needed is read.
import { test, type Test } from 'tap';
import { allBytes } from '../../../daemon/files/all-bytes.js';
import { erofsRoot } from '../../../daemon/files/erofs-files.js';
import { findFile } from '../../../daemon/files/find.js';
import type { ImageFile } from '../../../daemon/files/image-file.js';
import { writeComposefs, type ImageFile as Written } from '../../support/composefs-writer.js';
import { BLOCK, writeDevices } from '../../support/erofs-devices-writer.js';
import { randomBytes } from '../../support/pattern.js';

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
  for (const bit of [1, 2, 0x10, 0x20, 0x40, 0x80, 0x100, 0x800000]) {
    const other = Buffer.from(bytes);
    other.writeUInt32LE(bit, 1024 + 80);
    t.equal(await erofsRoot(diskOf(other)), null, `feature ${bit}`);
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
