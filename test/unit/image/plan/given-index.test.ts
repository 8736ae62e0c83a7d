// The SOCI index that is named for an image: a digest or a file.
import { join } from 'node:path';
import { test } from 'tap';
import { OverlaybdError } from '../../../../daemon/errors.js';
import { givenIndex } from '../../../../daemon/image/plan/given-index.js';
import { MAX_MANIFEST_SIZE } from '../../../../daemon/registry/manifest.js';

await test('nothing, a digest, a reference, or a file with its digest', async (t) => {
  t.same(await givenIndex('none'), { kind: 'none' });
  const digest = `sha256:${'a'.repeat(64)}`;
  t.same(await givenIndex(digest), { kind: 'digest', digest });
  const reference = 'docker://example/app:index';
  t.same(await givenIndex(reference), { kind: 'reference', reference });
  const path = join(t.testdir({ index: '{}' }), 'index');
  const hash = 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a';
  t.same(await givenIndex(path), { kind: 'bytes', digest: hash, bytes: Buffer.from('{}') });
});

await test('no file, and one that is too long', async (t) => {
  const folder = t.testdir({ long: ' '.repeat(MAX_MANIFEST_SIZE + 1) });
  await t.rejects(givenIndex(join(folder, 'none')), OverlaybdError);
  await t.rejects(givenIndex(join(folder, 'long')), { code: 'LIMIT' });
});
