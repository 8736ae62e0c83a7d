// Lists of paths: what is one, and what is in it.
import t from 'tap';
import { MAX_LISTED_PATHS } from '../../../daemon/fetch/limits.js';
import { isPathList, parsePathList } from '../../../daemon/fetch/path-list.js';

const parse = (text: string): string[] => parsePathList(Buffer.from(text), 'list');

await t.test('text is a list', async (test) => {
  for (const text of ['/a\n', 'usr/bin/é\r\n\t', '', ' ']) {
    test.ok(isPathList(Buffer.from(text)));
  }
  for (const text of ['/a\0', '\u001b[2J', '/\u007f']) test.notOk(isPathList(Buffer.from(text)));
});

await t.test('each path once, without the spaces around it', async (test) => {
  test.same(parse('/b\n\n  /a b  \r\n/b\nc/\n/d/*'), ['/b', '/a b', 'c/', '/d/*']);
  test.same(parse(' \r\n\n'), []);
  test.same(parse('/é'), [Buffer.from('/é').toString('latin1')], 'bytes');
});

await t.test('a line of spaces takes no time', async (test) => {
  const spaces = ' '.repeat(4 << 20);
  test.same(parse(`${spaces}x${spaces}y`).length, 1);
});

await t.test('too many paths', async (test) => {
  test.equal(parse(manyPaths(MAX_LISTED_PATHS)).length, MAX_LISTED_PATHS);
  test.throws(() => parse(manyPaths(MAX_LISTED_PATHS + 1)), {
    code: 'LIMIT',
    message: /^list: 16385 paths of a list, at most 16384$/,
  });
});

function manyPaths(count: number): string {
  return Array.from({ length: count }, (_, i) => `/${i}`).join('\n');
}
