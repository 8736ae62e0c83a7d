import tap, { test } from 'tap';
import { findFile } from '../../../daemon/files/find.js';
import { escapedName, textOf } from '../../../daemon/files/texts.js';
import { filesBelow, treeLines } from '../../../daemon/files/tree-text.js';
import type { ImageFile } from '../../../daemon/files/image-file.js';
import { NotedFailures } from '../../support/each-file.js';
import { brokenFolder } from '../../support/broken-folder.js';
import { rootOf } from '../../support/tree-root.js';

// A folder of 150,000 files: on a busy machine tap's 30 seconds are too short.
tap.setTimeout(300_000);

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
    const options = { all, depth };
    for await (const line of treeLines(path, found, options, escapedName, new NotedFailures())) {
      list.push(line);
    }
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

await test('a file that cannot be looked at, and a folder inside itself: the others are drawn', async (t) => {
  const root = await rootOf(t, [{ name: 'x', bytes: Buffer.from('x') }]);
  const broken = brokenFolder(root);
  const each = new NotedFailures();
  const list: string[] = [];
  const options = { all: false, depth: Infinity };
  const lines = treeLines('/', { file: broken, path: '' }, options, escapedName, each);
  for await (const line of lines) list.push(textOf(line));
  t.same(list, ['/', '├── self', '└── x', '', '1 directory, 1 file']);
  t.same(each.messages, ['bad inode', '"self": a directory that is inside itself']);
});

await test('a folder with very many files: siblings share what is drawn in front of them', async (t) => {
  const root = await rootOf(t, [{ name: 'd/x', bytes: Buffer.from('x') }]);
  const names = Array.from({ length: 20_000 }, (_, i) => `${i}`);
  const file = (await root.child('d').then((folder) => folder?.child('x'))) as ImageFile;
  const folder: ImageFile = {
    inode: 1,
    stat: () => root.stat(),
    names: () => Promise.resolve(names),
    child: () => Promise.resolve(file),
    xattrs: () => root.xattrs(),
    contents: () => root.contents(),
  };
  const options = { all: false, depth: Infinity };
  const arrays = new Set<readonly boolean[]>();
  let last = false;
  let count = 0;
  const files = filesBelow({ file: folder, path: '' }, options, new NotedFailures());
  for await (const { lasts, isLast } of files) {
    arrays.add(lasts);
    last = isLast;
    count++;
  }
  t.equal(count, names.length);
  t.equal(arrays.size, 1);
  t.ok(last);
});
