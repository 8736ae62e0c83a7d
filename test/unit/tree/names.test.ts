// Paths inside layers: cleaning, parts, order, and how messages show them.
import { test } from 'tap';
import {
  cleanPath,
  compareBytes,
  nameOf,
  parentOf,
  shownPath,
} from '../../../daemon/tree/names.js';

await test('paths are cleaned as containerd does it', (t) => {
  const cases: Record<string, string> = {
    '': '',
    '/': '',
    '.': '',
    './': '',
    '..': '',
    '../..': '',
    a: 'a',
    'a/': 'a',
    '/a': 'a',
    './a': 'a',
    'a//b': 'a/b',
    'a/./b': 'a/b',
    'a/b/.': 'a/b',
    'a/../b': 'b',
    '../../etc/passwd': 'etc/passwd',
    'a/b/../../../c': 'c',
    'a/..': '',
    '.a/..b/...': '.a/..b/...',
    'a/x.': 'a/x.',
  };
  for (const [path, clean] of Object.entries(cases)) t.equal(cleanPath(path), clean, path);
  t.end();
});

await test('a path has a folder and a name', (t) => {
  t.equal(parentOf('a/b/c'), 'a/b');
  t.equal(parentOf('a'), '');
  t.equal(nameOf('a/b/c'), 'c');
  t.equal(nameOf('a'), 'a');
  t.equal(nameOf(''), '');
  t.end();
});

await test('names are in the order of their bytes, the shorter first', (t) => {
  const sorted = ['!x', '-x', '.', '..', 'B', 'a', 'aa', 'b', '\xc3\xa4', '\xff'];
  t.same(sorted.toReversed().toSorted(compareBytes), sorted);
  t.equal(compareBytes('a', 'a'), 0);
  t.end();
});

await test('messages show a path as UTF-8, escaped', (t) => {
  t.equal(shownPath(Buffer.from('ä\n').toString('latin1')), '"ä\\n"');
  t.equal(shownPath('a"\x1b'), '"a\\"\\u{1b}"');
  t.equal(shownPath('a'.repeat(1005)), `"${'a'.repeat(1000)}... (5 more characters)"`);
  t.end();
});
