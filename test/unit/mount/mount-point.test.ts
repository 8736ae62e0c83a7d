// Mount points, and the mount that is found at one.
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import {
  checkFree,
  currentMounts,
  mountedAt,
  mountPoint,
} from '../../../daemon/mount/mount-point.js';
import type { MountEntry } from '../../../daemon/mount/mountinfo.js';

const mountOf = (mountPath: string, source = 'x'): MountEntry => ({
  id: 1,
  parent: 0,
  device: '0:50',
  mountPoint: mountPath,
  type: 'ext4',
  source,
  peerGroup: 1,
  isSlave: false,
});

await test('a mount point is a folder, by its real path', async (t) => {
  const folder = realpathSync(t.testdir({ dir: {}, file: '' }));
  symlinkSync('dir', join(folder, 'link'));
  t.equal(await mountPoint(join(folder, 'link')), join(folder, 'dir'));
  await t.rejects(mountPoint(join(folder, 'file')), {
    code: 'BAD_ARGUMENT',
    message: /not a folder$/,
  });
  await t.rejects(mountPoint(join(folder, 'none')), {
    code: 'NOT_FOUND',
    message: /none: no such folder; create it: mkdir -p /,
  });
  await t.rejects(mountPoint(join(folder, 'file', 'below')), { code: 'MOUNT' });
});

await test('a mount is found through symbolic links, the topmost first', async (t) => {
  const folder = realpathSync(t.testdir({ dir: { inner: {} } }));
  symlinkSync('dir', join(folder, 'link'));
  symlinkSync('dir/inner', join(folder, 'direct'));
  const inner = join(folder, 'dir', 'inner');
  const mounts = [mountOf(inner, 'lower'), mountOf(inner, 'upper')];
  for (const path of [inner, `${inner}/`, join(folder, 'link', 'inner'), join(folder, 'direct')])
    t.equal((await mountedAt(path, mounts)).source, 'upper', path);
  await t.rejects(mountedAt(folder, mounts), {
    code: 'NOT_FOUND',
    message: `${folder}: nothing is mounted there`,
  });
  await t.rejects(mountedAt(join(folder, 'none'), mounts), {
    code: 'NOT_FOUND',
    message: `${folder}/none: no such folder`,
  });
});

await test('a folder for FUSE is empty, and nothing is mounted there', async (t) => {
  const folder = realpathSync(t.testdir({ empty: {}, full: { file: '' } }));
  const empty = join(folder, 'empty');
  await checkFree(empty, [mountOf(folder)]);
  await checkFree(empty, [mountOf(empty, 'disk')]);
  await t.rejects(checkFree(empty, [{ ...mountOf(empty, 'disk'), type: 'fuse.x' }]), {
    code: 'BUSY',
    message: /empty: disk \(.*\) is mounted there already; unmount it first/,
  });
  await t.rejects(checkFree(join(folder, 'full'), []), {
    code: 'BUSY',
    message: `${folder}/full: the folder is not empty`,
  });
});

await test('a mount is found by its path alone if the path cannot be resolved', async (t) => {
  t.equal((await mountedAt('/no/such/folder', [mountOf('/no/such/folder')])).source, 'x');
});

await test('the mounts of this process', async (t) => {
  t.ok((await currentMounts()).some(({ mountPoint: path }) => path === '/proc'));
  const folder = t.testdir();
  mkdirSync(join(folder, 'a'));
  writeFileSync(join(folder, 'a', 'b'), '');
  t.notOk((await currentMounts()).some(({ mountPoint: path }) => path.startsWith(folder)));
});
