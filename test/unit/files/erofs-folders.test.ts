// Folders of a disk that is an EROFS image: damaged ones, and more of them than fit in memory.
import { test } from 'tap';
import { erofsRoot } from '../../../daemon/files/erofs-files.js';
import { ErofsFolders } from '../../../daemon/files/erofs-folders.js';
import { findFile } from '../../../daemon/files/find.js';
import { listings } from '../../../daemon/files/listing.js';
import type { ErofsInode } from '../../../daemon/erofs/reader/inode.js';
import type { ImageFile } from '../../../daemon/files/image-file.js';
import { NotedFailures } from '../../support/each-file.js';
import { writeComposefs, type ImageFile as Written } from '../../support/composefs-writer.js';

const FILE = 0o100644;
const FOLDER = 0o40755;

const inode = (nid: number): ErofsInode => ({ nid, at: 32 * nid }) as ErofsInode;

/** A disk that cannot be read while `isBroken` returns true. */
async function rootOf(
  bytes: Buffer,
  isBroken = (): boolean => false,
  kept?: number,
): Promise<ImageFile> {
  const read = (offset: number, length: number): Promise<Buffer> =>
    isBroken()
      ? Promise.reject(new Error('lost'))
      : Promise.resolve(bytes.subarray(offset, offset + length));
  const root = await erofsRoot({ name: 'disk', size: bytes.length, read }, null, kept);
  if (!root) throw new Error('not an EROFS image');
  return root;
}

await test('a directory with two names', async (t) => {
  const { bytes, inodes } = writeComposefs([
    { path: '', mode: FOLDER },
    { path: 'a', mode: FOLDER },
    { path: 'a/f', mode: FILE, inline: '1' },
    { path: 'b', mode: FOLDER },
  ]);
  // The entry of b gets the nid of a.
  const nid = (path: string): number => (inodes.get(path) as number) / 32;
  const number = Buffer.alloc(8);
  number.writeUInt32LE(nid('b'));
  bytes.writeUInt32LE(nid('a'), bytes.indexOf(number, (inodes.get('') as number) + 64));
  const root = await rootOf(bytes);
  for (let i = 0; i < 2; i++) {
    t.same(await (await root.child('a'))?.names(), ['f']);
    await t.rejects(root.child('b'), {
      code: 'BAD_FORMAT',
      message: /inode \d+ .*expected a directory with one name, got two; the second is "b"/,
    });
  }
});

await test('a directory that could not be read is read again', async (t) => {
  const { bytes } = writeComposefs([
    { path: '', mode: FOLDER },
    ...Array.from({ length: 60 }, (_, i): Written[] => [
      { path: `d${i}`, mode: FOLDER },
      { path: `d${i}/f`, mode: FILE, inline: 'x'.repeat(3000) },
    ]).flat(),
  ]);
  let isBroken = false;
  const root = await rootOf(bytes, () => isBroken, 1);
  const first = (await root.child('d0')) as ImageFile;
  // Its page takes the place of the one that all folders are in.
  await (await root.child('d59'))?.child('f');
  isBroken = true;
  await t.rejects(first.names(), /lost/);
  isBroken = false;
  t.same(await first.names(), ['f']);
});

await test('names of folders that are left take no memory', async (t) => {
  const { bytes } = writeComposefs([
    { path: '', mode: FOLDER },
    { path: 'a', mode: FOLDER },
    { path: 'a/some', mode: FOLDER },
    { path: 'a/names', mode: FILE, inline: '1' },
  ]);
  const open = Reflect.get(ErofsFolders.prototype, 'open');
  const close = Reflect.get(ErofsFolders.prototype, 'close');
  let taken = 0;
  ErofsFolders.prototype.open = function opened(...names): number {
    const size = open.apply(this, names);
    taken += size;
    return size;
  };
  ErofsFolders.prototype.close = function closed(size): void {
    taken -= size;
    close.call(this, size);
  };
  t.teardown(() => Object.assign(ErofsFolders.prototype, { open, close }));
  const root = await rootOf(bytes);
  const folder = await root.child('a');
  await folder?.names();
  await folder?.child('some');
  t.equal(taken, 3 * 100 + 'a'.length + 'some'.length + 'names'.length);
  folder?.leave?.();
  t.equal(taken, 101);
  const options = { all: true, recursive: true, itself: false, long: false };
  for await (const _ of listings(root, ['/a', ''], options, new NotedFailures())) continue;
  t.equal(taken, 0, 'as after a list');
  await findFile(root, 'a/some', true);
  t.equal(taken, 101, 'only the root is kept');
});

await test('names and folders have a bound', (t) => {
  const folders = new ErofsFolders('disk', 1, 10_000);
  const names = Array.from({ length: 40 }, () => ({ name: 'x'.repeat(20) }));
  const size = folders.open(inode(2), names);
  t.equal(size, 4800);
  folders.open(inode(3), names);
  const limit = {
    code: 'LIMIT',
    message:
      /inode 4 at byte 128: expected names of directories in at most 10000 bytes of memory, got more/,
  };
  t.throws(() => folders.open(inode(4), names), limit);
  t.throws(() => {
    for (let i = 0; i < 10; i++) folders.see(inode(4), inode(i), 'x'.repeat(300));
  }, limit);
  folders.close(size);
  folders.open(inode(4), names);
  folders.see(inode(4), inode(1), 'x');
  folders.see(inode(4), inode(1), 'x');
  t.throws(() => folders.see(inode(4), inode(2), 'x'), { code: 'BAD_FORMAT' });
  t.throws(() => folders.see(inode(1), inode(2), 'x'), { code: 'BAD_FORMAT' });
  t.end();
});
