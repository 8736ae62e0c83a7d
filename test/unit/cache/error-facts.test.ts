// Errors of the folder of the cache: their facts.
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { bounded, diskError, openCacheFile } from '../../../daemon/cache/disk.js';
import { prepareFolder } from '../../../daemon/cache/folder-owner.js';
import { EIO, ENOENT } from '../../../daemon/lib/errno.js';
import { checkErrors } from '../../support/error-rows.js';

function full(): Promise<never> {
  return Promise.reject(Object.assign(new Error('x'), { errno: -28 }));
}

function throwing(what: string, errno: number): () => never {
  return () => {
    throw diskError(what, -errno);
  };
}

await test('errors of the cache have their facts', async (t) => {
  const path = join(t.testdir(), 'cache');
  mkdirSync(path);
  const uid = process.geteuid?.() ?? 0;
  const open = (): Promise<unknown> => {
    chmodSync(path, 0o777);
    return prepareFolder(path);
  };
  await checkErrors(
    t,
    {
      'a folder that others may write to': [
        open,
        'PERMISSION',
        {
          path,
          expected: `user ${uid}, and only that user may write to it`,
          got: `user ${uid} and has mode 777`,
        },
      ],
      'a folder in place of a file': [() => openCacheFile(path, null), 'UNSUPPORTED', { path }],
      'a failed write': [() => bounded(`write ${path}`, full), 'IO', { path }],
      'a missing file': [throwing(path, ENOENT), 'NOT_FOUND', { path }],
      'no path': [throwing('sha256:0', EIO), 'IO', {}],
    },
    ['path'],
  );
});
