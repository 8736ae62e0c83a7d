import { test } from 'tap';
import { inodeNumber } from '../../../daemon/files/inode-number.js';
import { FolderWay } from '../../../daemon/files/folder-way.js';

await test('a folder is on the way until one as deep is entered', (t) => {
  const way = new FolderWay();
  way.enter('', 1, 0);
  way.enter('a', 2, 1);
  way.enter('a/b', 3, 2);
  const expected = { code: 'BAD_FORMAT', message: '"a/b/c": a directory that is inside itself' };
  for (const inode of [1, 2, 3]) t.throws(() => way.enter('a/b/c', inode, 3), expected);
  way.enter('c', 3, 1);
  way.enter('c/a', 2, 2);
  way.enter('', 1, 0);
  t.end();
});

await test('folders whose numbers of 64 bits differ in their last bits', (t) => {
  const way = new FolderWay();
  way.enter('a', inodeNumber((1n << 63n) + 1n), 0);
  t.doesNotThrow(() => way.enter('a/b', inodeNumber((1n << 63n) + 2n), 1));
  t.throws(() => way.enter('a/b/c', inodeNumber((1n << 63n) + 1n), 2), { code: 'BAD_FORMAT' });
  t.end();
});
