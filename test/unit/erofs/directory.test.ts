// Contents of directories: sizes, and blocks that a block's worth of names makes.
import { test } from 'tap';
import { directorySize, writeDirectory } from '../../../daemon/erofs/directory.js';
import { viewOf } from '../../../daemon/lib/bytes.js';
import { readDirectory } from '../../support/erofs/directory.js';

/** Writes into memory that is not zero where nothing may be written. */
function written(names: readonly string[]): Buffer {
  const bytes = Buffer.alloc(directorySize(names));
  const dirent = { nid: 0, type: 1 };
  const direntOf = (i: number): typeof dirent => {
    dirent.nid = 1000 + i;
    return dirent;
  };
  writeDirectory(viewOf(bytes), names, direntOf, (block) => block * 4096);
  return bytes;
}

await test('an empty directory has "." and ".."', (t) => {
  t.equal(directorySize(['.', '..']), 2 * 12 + 3);
  t.same(readDirectory(written(['.', '..']), 'dir'), [
    { name: '.', nid: 1000, type: 1 },
    { name: '..', nid: 1001, type: 1 },
  ]);
  t.end();
});

const long = (letter: string): string => letter.repeat(252);

await test('a block is filled to its last byte, and no further', (t) => {
  // 15 names of 252 bytes take 3960 bytes: 136 are left.
  const most = 'abcdefghijklmno'.split('').map(long);
  t.equal(directorySize([...most, 'z'.repeat(124)]), 4096);
  t.equal(directorySize([...most, 'z'.repeat(125)]), 4096 + 137);
  t.equal(readDirectory(written([...most, 'z'.repeat(124)]), 'dir').length, 16);
  const names = [...most, 'y'.repeat(125), 'z'];
  t.same(
    readDirectory(written(names), 'dir').map(({ name }) => name),
    names,
  );
  t.end();
});

await test('thousands of names, of any bytes', (t) => {
  const names = Array.from(
    { length: 5000 },
    (_, i) => `${String.fromCharCode(255 - (i % 200))}${i}`,
  );
  names.sort();
  const read = readDirectory(written(names), 'dir');
  t.same(
    read.map(({ name }) => name),
    names,
  );
  t.end();
});
