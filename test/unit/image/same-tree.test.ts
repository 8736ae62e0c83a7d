// Whether two file systems of layers have the same tree: every field of every entry counts, and where contents are.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { OpenImages } from '../../../daemon/image/open-images.js';
import { sourceOfWords } from '../../../daemon/image/plan/image-source.js';
import { recordTree } from '../../../daemon/image/recorded-tree.js';
import { treeDifference, type MadeTree } from '../../../daemon/image/same-tree.js';
import { writeUstar, type TarFile } from '../../support/ustar.js';

const FILES: readonly TarFile[] = [
  { name: 'd', type: '5', mode: 0o755 },
  { name: 'd/big', bytes: Buffer.alloc(9000, 1), uid: 7 },
  { name: 'd/also', bytes: Buffer.alloc(9000, 1), uid: 7 },
  { name: 'd/link', type: '1', link: 'd/big' },
  { name: 'empty' },
  { name: 'null', type: '3', device: [1, 3] },
  { name: 'to', type: '2', link: 'd/big' },
];

await test('any difference is found, and named', async (t) => {
  const folder = t.testdir();
  const images = new OpenImages({ log: () => undefined }, false);
  t.teardown(() => images.close());
  let made = 0;
  const treeOf = async (files: readonly TarFile[]): Promise<MadeTree> => {
    const path = join(folder, `${made++}.tar`);
    writeFileSync(path, writeUstar(files));
    const { image } = await images.open(sourceOfWords([path]));
    return (await recordTree(image)) as MadeTree;
  };
  const tree = await treeOf(FILES);
  t.equal(await treeDifference(tree, await treeOf(FILES), 'x'), null);
  const changes: Record<string, readonly [path: string, change: Partial<TarFile>]> = {
    name: ['e', { name: 'e' }],
    mode: ['empty', { mode: 0o600 }],
    owner: ['empty', { gid: 1 }],
    time: ['empty', { mtime: 1 }],
    size: ['empty', { bytes: Buffer.alloc(1) }],
    device: ['null', { device: [1, 5] }],
    target: ['to', { link: 'd/bog' }],
    type: ['null', { type: '4' }],
  };
  for (const [what, [path, change]] of Object.entries(changes)) {
    const name = what === 'name' ? 'empty' : path;
    const changed = FILES.map((file) => (file.name === name ? { ...file, ...change } : file));
    t.equal(await treeDifference(tree, await treeOf(changed), 'x'), JSON.stringify(path), what);
  }
  const other = FILES.map((file) => (file.type === '1' ? { ...file, link: 'd/also' } : file));
  t.match(await treeDifference(tree, await treeOf(other), 'x'), /^"d\//, 'the names of a file');
  const more = [...FILES, { name: 'zz' }];
  t.equal(await treeDifference(tree, await treeOf(more), 'x'), '"zz"', 'one more');
  const rooted = [...FILES, { name: './', type: '5', mode: 0o700 } as const];
  t.equal(await treeDifference(tree, await treeOf(rooted), 'x'), 'the root');
  // The same tree, with contents at other places of the layer.
  const [d, big, also, ...rest] = FILES as [TarFile, TarFile, TarFile, ...TarFile[]];
  const swapped = [d, also, big, ...rest];
  t.equal(await treeDifference(tree, await treeOf(swapped), 'x'), '"d/also"');
  const moved = { ...tree, rows: { ...tree.rows, moffsets: tree.rows.moffsets.slice() } };
  moved.rows.moffsets[tree.rows.count - 1] = 0;
  t.match(await treeDifference(tree, moved, 'x'), /^"d\//);
});
