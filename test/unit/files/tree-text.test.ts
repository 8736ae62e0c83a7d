import { test } from 'tap';
import { findFile } from '../../../daemon/files/find.js';
import { escapedName, textOf } from '../../../daemon/files/texts.js';
import { treeLines } from '../../../daemon/files/tree-text.js';
import { rootOf } from '../../support/tree-root.js';

await test('a tree as tree(1) draws it', async (t) => {
  const root = await rootOf(t, [
    { name: 'a/b/c' },
    { name: 'a/d' },
    { name: '.e/f' },
    { name: 'g', type: '2', link: 'a' },
  ]);
  const lines = async (path: string, all = false, depth = Infinity): Promise<string[]> => {
    const found = await findFile(root, path, true);
    const list: string[] = [];
    for await (const line of treeLines(path, found, { all, depth }, escapedName)) list.push(line);
    return list.map(textOf);
  };
  t.same(await lines('/'), [
    '/',
    '├── a',
    '│   ├── b',
    '│   │   └── c',
    '│   └── d',
    '└── g -> a',
    '',
    '2 directories, 3 files',
  ]);
  t.same(await lines('g', true, 1), ['g', '├── b', '└── d', '', '1 directory, 1 file']);
  t.same(await lines('/', true, 1), [
    '/',
    '├── .e',
    '├── a',
    '└── g -> a',
    '',
    '2 directories, 1 file',
  ]);
});
