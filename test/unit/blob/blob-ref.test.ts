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
