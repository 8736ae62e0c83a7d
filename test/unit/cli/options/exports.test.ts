// The exports of `serve`: from words, --export and the configuration together.
import { resolve } from 'node:path';
import { test } from 'tap';
import { exportsOf, type ExportArguments } from '../../../../daemon/cli/options/exports.js';
import type { DaemonConfig } from '../../../../daemon/config/daemon-config.js';
import { wordsOf } from '../../../../daemon/image/plan/image-source.js';

const get = (args: ExportArguments, config: DaemonConfig = {}) =>
  [...exportsOf(args, config)].map(([name, { blobs, partition }]) => {
    return [name, { paths: wordsOf(blobs), partition }];
  });

const image = (word: string) => [['', { paths: [`docker://${word}`], partition: null }]];

await test('exports come from words, --export and the configuration', (t) => {
  t.same(get({}), []);
  t.same(get({ image: ['a', 'b'] }), [
    ['', { paths: [resolve('a'), resolve('b')], partition: null }],
  ]);
  t.same(get({ image: ['redis:7'] }), image('redis:7'), 'no such file: an image');
  t.same(get({ image: ['docker://redis:7'] }), image('redis:7'));
  t.same(get({ export: ['web=/w=1'] }), [['web', { paths: ['/w=1'], partition: null }]]);
  const exports = { db: '/d', log: ['/l', '/m'], part: { image: '/p', partition: 2 } };
  const config = {
    exports: { a: { image: '/a', layer: 1 }, b: { image: '/a', insecureToc: false } },
  };
  const nothing = { tocBlob: null, tocDigest: null, ztocs: [] };
  t.same(
    [...exportsOf({}, config).values()].map(({ beside }) => beside),
    [{ ...nothing, layer: 1 }, undefined],
  );
  t.same(get({ image: ['./a'], export: ['=x'].slice(1), partition: 3 }, { exports }), [
    ['db', { paths: ['/d'], partition: null }],
    ['log', { paths: ['/l', '/m'], partition: null }],
    ['part', { paths: ['/p'], partition: 2 }],
    ['', { paths: [resolve('a')], partition: 3 }],
  ]);
  t.end();
});

await test('contradictory and duplicate exports are refused', (t) => {
  const cases: [ExportArguments, RegExp, DaemonConfig?][] = [
    [{ export: ['web'] }, /^--export "web": not NAME=IMAGE$/],
    [{ export: ['web='] }, /not NAME=IMAGE/],
    [{ image: [''] }, /^an image is empty: name a file$/],
    [{ image: ['a', ''] }, /^an image is empty/],
    [{ export: ['a=1', 'a=2'] }, /^two exports are named "a"$/],
    [{ image: ['x'], export: ['=y'] }, /^two exports are named ""$/],
    [{ export: ['a=1'] }, /two exports/, { exports: { a: '/a' } }],
    [{ export: [`${'x'.repeat(4097)}=1`] }, /^an export name has at most 4096 bytes$/],
    [{ image: ['x'], partition: 0 }, /^--partition: not the number/],
    [{ image: ['x'], partition: 1.5 }, /^--partition: not the number/],
    [{ partition: 1 }, /^--partition: works only for a single image/, { exports: { a: '/a' } }],
    [
      { image: ['x'], export: ['a=1'], partition: 1 },
      /^--partition: works only for a single image/,
    ],
    [
      { export: ['a=x'], objects: 'D' },
      /^--objects: works only for a single image .* without -e; in a configuration, /,
    ],
    [{ image: ['x'], export: ['a=x'], layer: 1 }, /^--layer: works only for a single image/],
    [
      { 'insecure-toc': true },
      /^--insecure-toc: works only for a single image/,
      { exports: { a: '/a' } },
    ],
  ];
  for (const [args, message, config] of cases) {
    t.throws(() => get(args, config), { code: 'BAD_ARGUMENT', message });
  }
  t.end();
});
