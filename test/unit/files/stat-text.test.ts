import { test } from 'tap';
import type { ImageFile } from '../../../daemon/files/image-file.js';
import { findFile } from '../../../daemon/files/find.js';
import { statLines } from '../../../daemon/files/stat-text.js';
import { escapedName } from '../../../daemon/files/texts.js';
import { rootOf } from '../../support/tree-root.js';

await test('attributes of each type of file', async (t) => {
  const root = await rootOf(t, [
    { name: 'file', bytes: Buffer.alloc(7), mode: 0o4755, uid: 1, gid: 2, mtime: 3 },
    { name: 'link', type: '2', link: 'a\u001b', mode: 0o777 },
    { name: 'disk', type: '4', device: [8, 1], mode: 0o660 },
  ]);
  const lines = async (path: string): Promise<string[]> =>
    statLines(path, (await findFile(root, path, false)).file, escapedName);
  t.same(await lines('file'), [
    'file',
    '  type      regular file',
    '  size      7',
    '  mode      4755 (-rwsr-xr-x)',
    '  owner     1:2',
    '  modified  1970-01-01T00:00:03.000000000Z',
    '  links     1',
    '  layer     0',
  ]);
  t.ok((await lines('link')).includes(String.raw`  target    a\u{1b}`));
  t.ok((await lines('disk')).includes('  device    8:1'));
});

await test('xattrs: text in quotes, other bytes in hexadecimal digits', async (t) => {
  const root = await rootOf(t, [{ name: 'file' }]);
  const { file } = await findFile(root, 'file', true);
  const xattrs = new Map([
    ['user.text', Buffer.from('a"b')],
    ['user.b\u001b', Uint8Array.of(0, 255)],
  ]);
  const marked: ImageFile = Object.create(file, {
    xattrs: { value: () => Promise.resolve(xattrs) },
  });
  marked.stat = () => file.stat();
  const lines = await statLines('file', marked, escapedName);
  t.same(lines.slice(-2), [
    String.raw`  xattr     user.text = "a\"b"`,
    String.raw`  xattr     user.b\u{1b} = 0x00ff`,
  ]);
});
