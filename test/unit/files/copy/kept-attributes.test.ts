// What cannot be kept is counted.
import { lstatSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'tap';
import { AttributeKeeper } from '../../../../daemon/files/copy/kept-attributes.js';
import type { FileStat, ImageFile } from '../../../../daemon/files/image-file.js';

function fileOf(stat: Partial<FileStat>, xattrs: [string, Uint8Array][]): ImageFile {
  return {
    stat: () => Promise.resolve(stat),
    xattrs: () => Promise.resolve(new Map(xattrs)),
  } as unknown as ImageFile;
}

await test('an xattr of no namespace, and an owner that only root can give', async (t) => {
  const path = join(t.testdir({ file: 'x' }), 'file');
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  const mine = { uid, gid, mode: 0o6755, mtime: -5, mtimeNs: 7 };
  const keeper = new AttributeKeeper();
  const handle = await open(path, 'r+');
  await keeper.keep(path, handle, fileOf(mine, [['nothing.such', Buffer.from('x')]]));
  t.same(keeper.notKept, { owners: 0, xattrs: 1 });
  const { mode, mtimeNs } = lstatSync(path, { bigint: true });
  t.equal(mode & 0o7777n, 0o6755n);
  t.equal(mtimeNs, -4_999_999_993n);
  await keeper.keep(path, handle, fileOf({ ...mine, uid: uid + 1 }, []));
  const isRoot = uid === 0;
  t.equal(keeper.notKept.owners, isRoot ? 0 : 1);
  t.equal(lstatSync(path).mode & 0o7777, isRoot ? 0o6755 : 0o755);
  await handle.close();
});
