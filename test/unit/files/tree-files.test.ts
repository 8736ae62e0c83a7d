// Attributes and contents of files of merged layers.
import { test } from 'tap';
import { allBytes } from '../../../daemon/files/all-bytes.js';
import { findFile } from '../../../daemon/files/find.js';
import { treeRoot } from '../../../daemon/files/tree-files.js';
import { layerAlone } from '../../../daemon/tree/merge.js';
import { LayerTreeBuilder } from '../../../daemon/tree/builder.js';
import { randomBytes } from '../../support/pattern.js';
import { rootOf } from '../../support/tree-root.js';

const large = randomBytes(1, 2_500_000);
const none = (): Promise<never> => Promise.reject(new Error('no contents'));

await test('files of two layers', async (t) => {
  const root = await rootOf(
    t,
    [
      { name: 'a/', type: '5', mode: 0o700, uid: 7, gid: 8, mtime: 99 },
      { name: 'a/large', bytes: large, mode: 0o4755 },
      { name: 'a/gone', bytes: large },
      { name: 'null', type: '3', device: [1, 3] },
    ],
    [
      { name: 'a/.wh.gone' },
      { name: 'a/new', bytes: Buffer.from('new') },
      { name: 'hard', type: '1', link: 'a/large' },
      { name: 'deep/er/link', type: '2', link: '../x', mode: 0o644 },
    ],
  );
  t.same(await root.names(), ['a', 'deep', 'hard', 'null']);
  t.equal(await root.child('A'), null);
  const folder = (await findFile(root, 'a', true)).file;
  t.same(await folder.names(), ['large', 'new']);
  t.match(await folder.stat(), { type: 'dir', mode: 0o700, uid: 7, gid: 8, mtime: 99, layer: 0 });
  t.match(await root.stat(), { type: 'dir', mode: 0o755, layer: null, nlink: 4 });
  const { file } = await findFile(root, 'a/large', true);
  const hard = (await findFile(root, 'hard', true)).file;
  t.equal(file.inode, hard.inode);
  t.match(await hard.stat(), { type: 'reg', mode: 0o4755, size: large.length, nlink: 2, layer: 0 });
  const parts: Buffer[] = [];
  for await (const part of allBytes('hard', hard)) parts.push(Buffer.from(part));
  t.ok(Buffer.concat(parts).equals(large));
  t.match(await (await findFile(root, 'null', true)).file.stat(), { rdev: { major: 1, minor: 3 } });
  t.match(await (await findFile(root, 'deep/er/link', false)).file.stat(), {
    type: 'symlink',
    mode: 0o777,
    target: '../x',
    size: 4,
    layer: 1,
  });
});

await test('xattrs of an overlayfs are left out, but for those of one layer alone', async (t) => {
  const builder = new LayerTreeBuilder({ name: 'layer', hasWhiteouts: true });
  const xattrs = new Map([
    ['trusted.overlay.redirect', Buffer.from('x')],
    ['user.mine', Buffer.from('y')],
  ]);
  builder.add({ path: 'd', type: 'dir', mode: 0o755, xattrs });
  builder.add({ path: 'd/.wh..wh..opq', type: 'reg' });
  builder.add({ path: 'd/.wh.x', type: 'reg' });
  const root = treeRoot(layerAlone(builder.finish()), none, [3]);
  const folder = (await findFile(root, 'd', true)).file;
  t.equal((await folder.stat()).layer, 3);
  t.same([...(await folder.xattrs()).keys()].toSorted(), ['trusted.overlay.opaque', 'user.mine']);
  const whiteout = (await findFile(folder, 'x', true)).file;
  t.match(await whiteout.stat(), { type: 'char', rdev: { major: 0, minor: 0 } });
  t.same(await whiteout.names(), []);
});
