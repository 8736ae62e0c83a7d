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

await test('an owner or group that chown(2) takes as "do not change" is not kept', async (t) => {
  const path = join(t.testdir({ file: 'x' }), 'file');
  const mine = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  const other = { mode: 0o6755, mtime: 0, mtimeNs: 0 };
  const handle = await open(path, 'r+');
  for (const id of [{ uid: 0xffff_ffff }, { gid: 0xffff_ffff }]) {
    const keeper = new AttributeKeeper();
    await handle.chmod(0o600);
    await keeper.keep(path, handle, fileOf({ ...other, ...mine, ...id }, []));
    t.equal(keeper.notKept.owners, 1);
    t.equal(lstatSync(path).mode & 0o7777, 0o755, 'no setuid and no setgid for this user');
  }
  await handle.close();
  const keeper = new AttributeKeeper();
  const folder = await open(join(path, '..'), 'r');
  const file = fileOf({ ...other, uid: 0xffff_ffff, gid: 0xffff_ffff }, []);
  await keeper.keepByName(path, folder, Buffer.from('file'), file);
  t.equal(keeper.notKept.owners, 1);
  await folder.close();
});
