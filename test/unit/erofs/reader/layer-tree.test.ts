// From the inodes of an image to a tree, with rules as formats have them.
import { test } from 'tap';
import { ErofsImage } from '../../../../daemon/erofs/reader/image.js';
import { addTree, type TreeRules } from '../../../../daemon/erofs/reader/layer-tree.js';
import { UNBOUNDED } from '../../../../daemon/lib/effort.js';
import { HeapBudget } from '../../../../daemon/lib/heap-budget.js';
import { LayerTreeBuilder } from '../../../../daemon/tree/builder.js';
import type { LayerTree } from '../../../../daemon/tree/layer-tree.js';
import { writeComposefs, type ImageFile } from '../../../support/composefs-writer.js';
import { MemorySource } from '../../../support/memory-source.js';

const FILES: ImageFile[] = [
  { path: '', mode: 0o040755 },
  { path: 'c', mode: 0o020644, device: 0x0501 },
  { path: 'd', mode: 0o040700, nlink: 2, xattrs: { 'user.a': 'b' } },
  { path: 'd/f', mode: 0o104755, inline: 'contents', nlink: 2, mtime: -3, mtimeNs: 4 },
  { path: 'd/g', mode: 0o104755, linkTo: 'd/f' },
  { path: 'l', mode: 0o120777, inline: 'd/f' },
  { path: 'p', mode: 0o010600 },
  { path: 's', mode: 0o140600 },
];

async function treeOf(
  files: ImageFile[],
  rules: TreeRules,
): Promise<{ tree: LayerTree; sockets: number }> {
  const image = await ErofsImage.read(new MemorySource(writeComposefs(files).bytes), UNBOUNDED);
  const builder = new LayerTreeBuilder({ name: 'image', hasWhiteouts: false });
  const sockets = await addTree(image, builder, rules, UNBOUNDED);
  return { tree: builder.finish(), sockets };
}

await test('all types, and hard links', async (t) => {
  const folders: string[] = [];
  const { tree, sockets } = await treeOf(FILES, {
    sawFolder: ({ path }) => void folders.push(path),
    dataOf: ({ inode }) => [{ fileOffset: 0, length: inode.size, source: 0, offset: 512 }],
  });
  t.equal(sockets, 1);
  t.same(folders, ['', 'd']);
  const entries = new Map(
    Array.from({ length: tree.count }, (_, i) => [tree.pathOf(i), tree.entry(i)]),
  );
  t.same([...entries.keys()].toSorted(), ['', 'c', 'd', 'd/f', 'd/g', 'l', 'p']);
  t.match(entries.get('c'), { type: 'char', rdev: { major: 5, minor: 1 } });
  t.same([...(entries.get('d')?.xattrs?.keys() ?? [])], ['user.a']);
  t.match(entries.get('d/f'), { mode: 0o4755, size: 8, mtime: -3, mtimeNs: 4 });
  t.match(entries.get('d/f')?.data, [{ length: 8, offset: 512 }]);
  t.match(entries.get('d/g'), { type: 'hardlink', target: 'd/f' });
  t.match(entries.get('l'), { type: 'symlink', target: 'd/f' });
  t.match(entries.get('p'), { type: 'fifo', mode: 0o600 });
});

await test('what a format hides and changes', async (t) => {
  const { tree } = await treeOf(FILES, {
    isHidden: ({ path }) => path === 'c',
    dataOf: () => [],
    changed: (draft) => ({ ...draft, uid: 7 }),
  });
  const uids = Array.from({ length: tree.count }, (_, i) => [tree.pathOf(i), tree.columns.uids[i]]);
  t.notOk(uids.some(([path]) => path === 'c'));
  // A further name has no attributes of its own.
  t.ok(uids.every(([path, uid]) => uid === (path === 'd/g' ? 0 : 7)));
});

await test('a mode without a type', async (t) => {
  const files: ImageFile[] = [...FILES, { path: 'x', mode: 0o170644 }];
  await t.rejects(treeOf(files, { dataOf: () => [] }), {
    code: 'BAD_FORMAT',
    message: /entry "x" at byte \d+: an unknown type: mode 0170644/,
  });
});

await test('what is kept while a hostile tree is walked has a limit', async (t) => {
  const most = 20_000;
  const rules: TreeRules = { dataOf: () => [] };
  const added = async (files: ImageFile[]): Promise<number> => {
    const { bytes, superblock } = await ErofsImage.read(
      new MemorySource(writeComposefs([{ path: '', mode: 0o040755 }, ...files]).bytes),
      UNBOUNDED,
    );
    const image = new ErofsImage(bytes, superblock, 'image', new HeapBudget(most));
    const builder = new LayerTreeBuilder({ name: 'image', hasWhiteouts: false });
    await addTree(image, builder, rules, UNBOUNDED);
    return builder.finish().count;
  };
  t.equal(await added(manyFolders(100)), 101);
  t.equal(await added(linked(100)), 101);
  t.equal(await added(chain(40)), 41, 'a directory that was read waits no longer');
  const refused = {
    code: 'LIMIT',
    message: /^image: directories that wait to be read, .* take more than 20000 bytes of memory$/,
  };
  await t.rejects(added(manyFolders(200)), refused);
  await t.rejects(added(linked(260)), refused);
});

function manyFolders(count: number): ImageFile[] {
  return Array.from({ length: count }, (_, i) => ({ path: `${i}`, mode: 0o040755 }));
}

function linked(count: number): ImageFile[] {
  return Array.from({ length: count }, (_, i) => ({ path: `${i}`, mode: 0o100644, nlink: 2 }));
}

/** Each folder in the one before. */
function chain(depth: number): ImageFile[] {
  return Array.from({ length: depth }, (_, i) => ({
    path: Array.from({ length: i + 1 }, () => 'n'.repeat(200)).join('/'),
    mode: 0o040755,
  }));
}
