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

await test('folders are what precedes the last slash', (t) => {
  const paths = ['', 'a', 'a/b', 'a/c', 'b/c', 'aa/c', 'a/b/c', '/a', 'a/b/d', 'b', 'a/bb/d', ''];
  const column = new TextColumn();
  for (const path of paths) column.add(path);
  const folders = paths.map((path) => path.slice(0, Math.max(0, path.lastIndexOf('/'))));
  for (const [i, path] of paths.entries()) {
    t.equal(column.isEmpty(i), path === '', path);
    t.equal(column.folderAt(i), folders[i], path);
    for (const [j, other] of paths.entries()) {
      t.equal(column.sharesFolder(i, j), folders[i] === folders[j], `${path} and ${other}`);
    }
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
