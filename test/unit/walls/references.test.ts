// References to missing files, sections and tests are refused, others are allowed.

import { test } from 'tap';
import { checkReferences } from '../../walls/references.js';

const FORMATS = '# Formats\n\n## Checksums\n\ntext\n\n```\n## not a heading\n```\n';

function check(path: string, text: string): string[] {
  return checkReferences(
    new Map([
      ['docs/formats.md', FORMATS],
      ['daemon/zfile/reader.ts', ''],
      ['test/asan/run', ''],
      ['native/src/loop-spin.h', ''],
      [path, text],
    ]),
  );
}

await test('comments with valid references are allowed', (t) => {
  for (const text of [
    '// See reader.ts, zfile/reader.ts and daemon/zfile/reader.ts.',
    '/** "Checksums" in docs/formats.md. */',
    ' * docs/formats.md, "Checksums"',
    "import { x } from './nowhere.ts'; // no comment: '../gone.ts'".replace(/\/\/.*/, ''),
    'const path = "docs/gone.md"; // of libnbd.so.0',
    '// loop-spin.h, native/src/loop-spin.h, linux/nbd.h, <linux/fs.h>',
    '// *.test.ts, <thing>-binding.cc, https://example.com/x.md',
  ]) {
    t.same(check('daemon/nbd/x.ts', text), [], text);
  }
  t.end();
});

await test('comments with broken references are refused', (t) => {
  const cases: [string, RegExp][] = [
    ['// See gone.ts.', /:1: there is no gone\.ts$/],
    [['const a = 1;', '// see zfile/gone.ts'].join(' '), /there is no zfile\/gone\.ts/],
    ['// Tested by test/e2e/gone.test.ts.', /there is no test\/e2e\/gone\.test\.ts/],
    ['// gone.h, linux/gone.h', /there is no gone\.h/],
    ['// native/src/gone.h', /there is no native\/src\/gone\.h/],
    ['/** docs/gone.md */', /there is no docs\/gone\.md/],
    ['\n/**\n * "Gone" in\n * docs/formats.md\n */', /:2: docs\/formats\.md has no section "Gone"/],
    ['// docs/formats.md, "not a heading"', /has no section "not a heading"/],
    ['// fact 71 of docs/formats.md', /"fact 71": name the section/],
    ['// Facts 7-18 say so.', /"Facts 7": name the section/],
  ];
  for (const [text, problem] of cases) {
    for (const path of ['daemon/nbd/x.ts', 'test/unit/nbd/x.test.ts']) {
      const problems = check(path, text);
      t.match(problems, [problem], text);
      t.equal(problems.length, 1, text);
    }
  }
  t.end();
});

await test('comments of scripts and units are checked', (t) => {
  for (const path of ['.ci/run', 'systemd/x.service']) {
    t.same(check(path, '# zfile/reader.ts\nrun gone.ts # "Checksums" in docs/formats.md'), []);
    t.match(check(path, '# see gone.ts'), [/:1: there is no gone\.ts/]);
    t.match(check(path, 'x\nrun # see docs/gone.md'), [/:2: there is no docs\/gone\.md/]);
  }
  t.match(check('docs/x.md', '`.ci/gone`'), [/there is no \.ci\/gone/]);
  t.end();
});

await test('references in documents are checked', (t) => {
  for (const text of [
    '[a](formats.md) [b](formats.md#checksums) [c](#here-it-is) [d](https://example.com/)\n\n## Here `it` is\n',
    'The code: `daemon/zfile/reader.ts`, `daemon/zfile/`, `test/asan/run`. [up](../test/asan/)',
    '```\n[a](gone.md) `daemon/gone.ts`\n```',
  ]) {
    t.same(check('docs/x.md', text), [], text);
  }
  for (const [text, problem] of [
    ['[a](gone.md)', /link to gone\.md: there is no docs\/gone\.md/],
    ['[a](formats.md#gone)', /docs\/formats\.md has no such heading/],
    ['[a](#gone)', /docs\/x\.md has no such heading/],
    ['`daemon/gone.ts`', /there is no daemon\/gone\.ts/],
    ['`daemon/gone/`', /there is no daemon\/gone/],
  ] as const) {
    t.match(check('docs/x.md', text), [problem], text);
  }
  t.same(check('CHANGELOG.md', '`daemon/gone.ts`'), [], 'the changelog may name removed files');
  t.end();
});
