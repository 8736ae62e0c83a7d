// Opening by name: a file gives its source, its spec and its identity.
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { test } from 'tap';
import { fileRef } from '../../../daemon/blob/blob-ref.js';
import { closeFile } from '../../../daemon/blob/file-jobs.js';
import { FileSource } from '../../../daemon/blob/file-source.js';
import { openBlob } from '../../../daemon/blob/open-blob.js';
import { readFully } from '../../../daemon/blob/source.js';

await test('a file', async (t) => {
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

await test('a part of a file', async (t) => {
  const path = join(t.testdir(), 'archive');
  writeFileSync(path, 'twelve bytes');
  const part = { kind: 'part', path, offset: 7, size: 5 } as const;
  const { spec, identity } = await openBlob(part);
  t.teardown(() => closeFile(spec.fd));
  t.match(spec, { kind: 'file', name: `${path} (bytes 7+5)`, base: 7, size: 5 });
  t.equal((await readFully(new FileSource(spec), 0, 5)).toString(), 'bytes');
  const whole = await openBlob(fileRef(path));
  t.teardown(() => closeFile(whole.spec.fd));
  t.not(whole.identity, identity);
  const past = {
    code: 'SHORT_READ',
    message: `${path} (bytes 7+6): past the end of the file at 12`,
  };
  await t.rejects(openBlob({ ...part, size: 6 }), past);
});
