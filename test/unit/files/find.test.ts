// From paths to files: symlinks lead nowhere but inside the image.
import { test } from 'tap';
import { findFile } from '../../../daemon/files/find.js';
import { rootOf } from '../../support/tree-root.js';

await test('paths', async (t) => {
  const root = await rootOf(t, [
    { name: 'a/b/file', bytes: Buffer.from('x') },
    { name: 'out', type: '2', link: '../../../../etc' },
    { name: 'etc/passwd' },
    { name: 'a/abs', type: '2', link: '/a/b/' },
    { name: 'a/up', type: '2', link: '..' },
    { name: 'loop', type: '2', link: 'loop' },
    { name: 'dangling', type: '2', link: 'a/none' },
    { name: 'chain', type: '2', link: 'a/abs/file' },
  ]);
  const pathOf = async (path: string, follow = true): Promise<string> =>
    (await findFile(root, path, follow)).path;
  const good: [path: string, found: string, follow?: boolean][] = [
    ['', ''],
    ['/', ''],
    ['.', ''],
    ['../..', ''],
    ['a', 'a'],
    ['//a/./b//file', 'a/b/file'],
    ['a/b/../b/file', 'a/b/file'],
    ['a/', 'a'],
    ['out', 'etc'],
    ['out', 'out', false],
    ['out/.', 'etc', false],
    ['out/', 'etc', false],
    ['out/passwd', 'etc/passwd', false],
    ['a/abs/file', 'a/b/file'],
    // As the system does: the folder above is that of where the symlink leads.
    ['a/abs/../up/etc/passwd', 'etc/passwd'],
    ['chain', 'a/b/file'],
    ['loop', 'loop', false],
  ];
  for (const [path, found, follow] of good) t.equal(await pathOf(path, follow), found, path);
  const bad: [path: string, code: string, message: RegExp][] = [
    ['none', 'NOT_FOUND', /^"none": the image has no such file$/],
    ['A', 'NOT_FOUND', /no such file/],
    ['dangling', 'NOT_FOUND', /^"dangling": the image has no such file$/],
    ['a/b/file/x', 'NOT_FOUND', /a folder of it is not a directory/],
    ['a/b/file/', 'NOT_FOUND', /not a directory/],
    ['a/b/file/..', 'NOT_FOUND', /not a directory/],
    ['loop', 'LIMIT', /more than 40 symlinks/],
    ['loop/', 'LIMIT', /more than 40 symlinks/],
    ['\u001b[31m', 'NOT_FOUND', /^"\\u\{1b\}\[31m"/],
  ];
  for (const [path, code, message] of bad) await t.rejects(pathOf(path), { code, message }, path);
});

await test('symlinks that double at every step end', async (t) => {
  const links = Array.from({ length: 38 }, (_, i) => ({
    name: `l${i}`,
    type: '2' as const,
    link: `l${i + 1}/../l${i + 1}`,
  }));
  const root = await rootOf(t, [...links, { name: 'l38/x' }]);
  await t.rejects(findFile(root, 'l0', true), { code: 'LIMIT' });
});
