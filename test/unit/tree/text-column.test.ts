// Byte strings outside of the heap.
import { test } from 'tap';
import { TextColumn } from '../../../daemon/tree/text-column.js';

const TEXTS = ['', 'a', 'folder/name', '\xff\x80/\xe9', '', 'x'.repeat(5000), 'a/b/c'];

function made(): TextColumn {
  const column = new TextColumn();
  for (const text of TEXTS) column.add(text);
  return column;
}

await test('texts come back, and their names', (t) => {
  const column = made();
  t.equal(column.length, TEXTS.length);
  for (const [i, text] of TEXTS.entries()) {
    t.equal(column.at(i), text);
    t.equal(column.nameAt(i), text.slice(text.lastIndexOf('/') + 1));
  }
  t.end();
});

await test('as parts, and from them', (t) => {
  const { lengths, bytes } = made().parts(4);
  t.same([...lengths], [0, 1, 11, 4]);
  t.equal(bytes.length, 16);
  // In memory of something else.
  const all = Buffer.concat([Buffer.from('before'), bytes]);
  const column = TextColumn.of(lengths, all.subarray(6));
  column.add('more');
  t.same(
    Array.from({ length: column.length }, (_, i) => column.at(i)),
    [...TEXTS.slice(0, 4), 'more'],
  );
  t.same([...new TextColumn().parts(0).lengths], []);
  t.end();
});
