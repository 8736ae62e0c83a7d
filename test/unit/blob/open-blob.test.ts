// Opening a reference: a file gives a source, a spec and an identity.
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { test } from 'tap';
import { fileRef } from '../../../daemon/blob/blob-ref.js';
import { closeFile } from '../../../daemon/blob/file-jobs.js';
import { openBlob } from '../../../daemon/blob/open-blob.js';

await test('a file gives its source, its spec and its identity', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, 'twelve bytes');
  const { spec, identity, isDevice } = await openBlob(fileRef(path));
  t.teardown(() => closeFile(spec.fd));
  t.match(spec, { kind: 'file', name: path, base: 0, size: 12 });
  const again = await openBlob(fileRef(path));
  t.teardown(() => closeFile(again.spec.fd));
  t.equal(again.identity, identity);
  t.equal(isDevice, false);
  await t.rejects(openBlob(fileRef(`${path}x`)), { code: 'NOT_FOUND' });
});
