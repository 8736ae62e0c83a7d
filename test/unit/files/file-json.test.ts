import { test } from 'tap';
import { fileJson } from '../../../daemon/files/file-json.js';
import { findFile } from '../../../daemon/files/find.js';
import { rootOf } from '../../support/tree-root.js';

await test('names that are not UTF-8 have their bytes, too', async (t) => {
  const root = await rootOf(t, [
    { name: 'a\xff', type: '2', link: 'b\xfe' },
    { name: 'null', type: '3', device: [1, 3], mode: 0o666 },
  ]);
  const json = async (path: string): Promise<object> => {
    const found = await findFile(root, path, false);
    return fileJson(found.path, found.file);
  };
  t.same(await json('a\xff'), {
    path: '/a\ufffd',
    pathBase64: Buffer.from('/a\xff', 'latin1').toString('base64'),
    type: 'symbolic link',
    mode: '0777',
    uid: 0,
    gid: 0,
    size: 2,
    mtime: '1970-01-01T00:00:00.000000000Z',
    links: 1,
    target: 'b\ufffd',
    targetBase64: Buffer.from('b\xfe', 'latin1').toString('base64'),
    layer: 0,
  });
  t.match(await json('null'), { path: '/null', major: 1, minor: 3, mode: '0666' });
  t.same(await json(''), {
    path: '/',
    type: 'directory',
    mode: '0755',
    uid: 0,
    gid: 0,
    size: 0,
    mtime: '1970-01-01T00:00:00.000000000Z',
    links: 2,
  });
});
