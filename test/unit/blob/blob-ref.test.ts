// References to blobs: their text, key and JSON form.
import { join } from 'node:path';
import { test } from 'tap';
import {
  absoluteRef,
  describeRef,
  fileRef,
  keyOfRef,
  pathOfRef,
  refOfText,
  registryRefOf,
} from '../../../daemon/blob/blob-ref.js';

await test('a reference to a file', (t) => {
  const ref = fileRef('layers/a.obd');
  t.equal(describeRef(ref), 'layers/a.obd');
  t.same(refOfText(describeRef(ref)), ref);
  t.equal(pathOfRef(ref), 'layers/a.obd');
  t.same(absoluteRef(ref), fileRef(join(process.cwd(), 'layers/a.obd')));
  t.equal(keyOfRef(ref), keyOfRef(fileRef('layers/a.obd')));
  t.not(keyOfRef(ref), keyOfRef(absoluteRef(ref)));
  t.end();
});

await test('a part of a file', (t) => {
  const ref = { kind: 'part', path: 'image.tar', offset: 512, size: 100 } as const;
  t.equal(describeRef(ref), 'image.tar (bytes 512+100)');
  t.equal(pathOfRef(ref), null);
  t.same(absoluteRef(ref), { ...ref, path: join(process.cwd(), 'image.tar') });
  const others = [fileRef('image.tar'), { ...ref, offset: 513 }, { ...ref, size: 99 }];
  t.notOk(others.map(keyOfRef).includes(keyOfRef(ref)));
  t.equal(keyOfRef({ ...ref }), keyOfRef(ref));
  t.end();
});

await test('a blob in a registry', (t) => {
  const ref = {
    kind: 'registry',
    host: 'h',
    repository: 'r',
    digest: 'sha256:a',
    size: 5,
  } as const;
  t.equal(describeRef(ref), 'h/r@sha256:a');
  t.equal(registryRefOf(ref), ref);
  t.equal(registryRefOf(fileRef('a')), null);
  t.equal(keyOfRef({ ...ref }), keyOfRef(ref));
  t.not(
    keyOfRef({ ...ref, size: 6 }),
    keyOfRef(ref),
    'a wrong size does not stand for the right one',
  );
  t.end();
});
