// Archives of docker save whose manifest.json wants too much work.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { parseReference, type ArchiveReference } from '../../../daemon/registry/reference.js';
import { resolveLocal } from '../../../daemon/registry/resolve-local.js';
import { writeUstar } from '../../support/ustar.js';

await test('the tags of all images have a limit, and each is looked at below it', async (t) => {
  const path = join(t.testdir({}), 'archive.tar');
  const resolve = async (tags: readonly string[][]): Promise<unknown> => {
    const images = tags.map((RepoTags) => ({ Config: 'config', RepoTags, Layers: [] }));
    const bytes = Buffer.from(JSON.stringify(images));
    writeFileSync(path, writeUstar([{ name: 'manifest.json', bytes }]));
    return resolveLocal(parseReference(`docker-archive:${path}:app:1`) as ArchiveReference, null);
  };
  const half = Array<string>(8192).fill('');
  await t.rejects(resolve([half, half]), { code: 'NOT_FOUND', message: /has no docker.io/ });
  const more = resolve([half, half, ['app:1']]);
  await t.rejects(more, { code: 'LIMIT', message: /16385 tags.*16384/ });
});
