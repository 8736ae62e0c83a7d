// Opening a reference: a file gives a source, a spec and an identity.
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { test } from 'tap';
import { fileRef } from '../../../daemon/blob/blob-ref.js';
import { closeFile } from '../../../daemon/blob/file-jobs.js';
import { FileSource, type FileSourceSpec } from '../../../daemon/blob/file-source.js';
import { openBlob, type OpenBlob } from '../../../daemon/blob/open-blob.js';
import type { BlobRef } from '../../../daemon/blob/blob-ref.js';
import { readFully } from '../../../daemon/blob/source.js';

const noRemote = (): never => {
  throw new Error('no file needs it');
};

async function openLocal(ref: BlobRef): Promise<OpenBlob & { readonly spec: FileSourceSpec }> {
  const { spec, ...opened } = await openBlob(ref, noRemote);
  if (spec.kind !== 'file') throw new Error(spec.kind);
  return { ...opened, spec };
}

await test('a file gives its source, its spec and its identity', async (t) => {
  const path = join(t.testdir(), 'blob');
  writeFileSync(path, 'twelve bytes');
  const { spec, identity, isDevice } = await openLocal(fileRef(path));
  t.teardown(() => closeFile(spec.fd));
  t.match(spec, { kind: 'file', name: path, base: 0, size: 12 });
  const again = await openLocal(fileRef(path));
  t.teardown(() => closeFile(again.spec.fd));
  t.equal(again.identity, identity);
  t.equal(isDevice, false);
  await t.rejects(openBlob(fileRef(`${path}x`), noRemote), {
    code: 'NOT_FOUND',
    facts: { blob: `${path}x` },
  });
});

await test('a part of a file', async (t) => {
  const path = join(t.testdir(), 'archive');
  writeFileSync(path, 'twelve bytes');
  const part = { kind: 'part', path, offset: 7, size: 5 } as const;
  const { spec, identity } = await openLocal(part);
  t.teardown(() => closeFile(spec.fd));
  t.match(spec, { kind: 'file', name: `${path} (bytes 7+5)`, base: 7, size: 5 });
  t.equal((await readFully(new FileSource(spec), 0, 5)).toString(), 'bytes');
  const whole = await openLocal(fileRef(path));
  t.teardown(() => closeFile(whole.spec.fd));
  t.not(whole.identity, identity);
  const past = {
    code: 'SHORT_READ',
    message: `${path} (bytes 7+6): past the end of the file at 12`,
    facts: { blob: `${path} (bytes 7+6)`, offset: 12 },
  };
  await t.rejects(openBlob({ ...part, size: 6 }, noRemote), past);
});
