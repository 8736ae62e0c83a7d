// The way from a path to a directory: its limits. What it finds is tested in merge.test.ts.
import { test } from 'tap';
import { mergeLayers } from '../../../daemon/tree/merge.js';
import { layerOf, mergedLines } from '../../support/trees.js';

const entries = (count: number): string[] => Array.from({ length: count }, (_, i) => `s0/x${i}/y`);

await test('the names that symlinks lead through are counted for the whole image', (t) => {
  // Each way leads through 250 symlinks with 2000 names each.
  const links = Array.from({ length: 250 }, (_, i) => `s${i} -> s${i + 1}/${'./'.repeat(2000)}`);
  t.equal(mergeLayers([layerOf(...links, ...entries(5))]).inodes.count, 1 + 250 + 1 + 10);
  t.throws(() => mergeLayers([layerOf(...links, ...entries(11))]), {
    code: 'BAD_FORMAT',
    message: /^layer: entry "s0\/x\d+\/y": more than 5000000 names on the ways of symlinks$/,
  });
  t.end();
});

await test('symlinks that never end are refused', (t) => {
  const message = /more than 255 symlinks in its folders/;
  t.throws(() => mergedLines(layerOf('a -> b', 'b -> a', 'a/x')), { code: 'BAD_FORMAT', message });
  t.throws(() => mergedLines(layerOf('a -> a/a', 'a/x')), { code: 'BAD_FORMAT', message });
  t.end();
});

await test('a symlink to a folder with a long name is refused when it would be made', (t) => {
  const target = 'x'.repeat(256);
  const message = /a symlink leads to a name of 256 bytes, at most 255/;
  t.throws(() => mergedLines(layerOf(`s -> ${target}`, 's/x')), { code: 'BAD_FORMAT', message });
  t.same(mergedLines(layerOf(`s -> ${target}`)), [`s -> ${target}`]);
  t.end();
});

const chain = (links: number): string[] => [
  ...Array.from({ length: links }, (_, i) => `s${i} -> s${i + 1}`),
  `s${links}/`,
  's0/x',
];

await test('a path may lead through 255 symlinks', (t) => {
  t.equal(mergedLines(layerOf(...chain(255))).length, 257);
  t.throws(() => mergedLines(layerOf(...chain(256))), { code: 'BAD_FORMAT', message: /255/ });
  t.end();
});
