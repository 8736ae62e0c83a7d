import { test } from 'tap';
import {
  insideWords,
  neededPaths,
  WORDS_AFTER_DASHES,
} from '../../../../daemon/cli/options/inside.js';

await test('which words are the image', (t) => {
  t.same(insideWords({ image: 'a' }), { image: ['a'], paths: [] });
  t.same(insideWords({ image: 'a', path: ['b', 'c'] }), { image: ['a'], paths: ['b', 'c'] });
  const two = { image: 'a', path: ['b', '/etc'], [WORDS_AFTER_DASHES]: 1 };
  t.same(insideWords(two), { image: ['a', 'b'], paths: ['/etc'] });
  t.same(insideWords({ ...two, [WORDS_AFTER_DASHES]: 0 }).paths, []);
  t.throws(() => insideWords({ ...two, [WORDS_AFTER_DASHES]: 3 }), { code: 'BAD_ARGUMENT' });
  t.throws(() => insideWords({ image: '' }), { code: 'BAD_ARGUMENT' });
  t.throws(() => neededPaths({ image: 'a' }), { code: 'BAD_ARGUMENT' });
  t.same(neededPaths(two).paths, ['/etc']);
  t.end();
});
