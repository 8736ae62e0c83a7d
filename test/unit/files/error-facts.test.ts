// Errors of files in images and of copies: their facts. Names come from hostile images.
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { allBytes } from '../../../daemon/files/all-bytes.js';
import { openDestination } from '../../../daemon/files/copy/destination.js';
import { bytesOfName, failed } from '../../../daemon/files/copy/target-folder.js';
import { findFile } from '../../../daemon/files/find.js';
import { folderRoot } from '../../../daemon/files/folder-files.js';
import { EACCES } from '../../../daemon/lib/errno.js';
import { checkErrors } from '../../support/error-rows.js';

await test('errors of files have their facts', async (t) => {
  const folder = t.testdir({ etc: { passwd: 'x' }, file: 'y' });
  symlinkSync('loop', join(folder, 'loop'));
  symlinkSync('etc', join(folder, 'link'));
  const root = await folderRoot(folder);
  const bytesOf = async (path: string): Promise<void> => {
    const { file } = await findFile(root, path, true);
    for await (const bytes of allBytes(path, file)) t.ok(bytes);
  };
  await checkErrors(
    t,
    {
      'no such file': [
        () => findFile(root, 'etc/none', true),
        'NOT_FOUND',
        { path: 'etc/none', failure: 'not in image' },
      ],
      'a hostile name': [
        () => findFile(root, 'a\u001b[31m\n', true),
        'NOT_FOUND',
        { path: 'a\u001b[31m\n', failure: 'not in image' },
      ],
      'a loop': [
        () => findFile(root, 'loop', true),
        'LIMIT',
        { path: '"loop"', expected: 'at most 40 symlinks' },
      ],
      'a directory': [
        () => bytesOf('etc'),
        'UNSUPPORTED',
        { path: '"etc"', expected: 'a regular file', got: 'directory' },
      ],
      'a symlink as the destination': [
        () => openDestination(join(folder, 'link'), false),
        'BAD_ARGUMENT',
        { path: join(folder, 'link') },
      ],
      'a file as the destination of several': [
        () => openDestination(join(folder, 'file'), true),
        'IO',
        { path: join(folder, 'file') },
      ],
      'a name that leads elsewhere': [() => bytesOfName('..'), 'BAD_FORMAT', { path: '".."' }],
      'no permission': [
        () => {
          throw failed('a/b', -EACCES);
        },
        'PERMISSION',
        { path: '"a/b"' },
      ],
    },
    ['expected'],
  );
});
