// The changes that the mutation run makes: each exactly once, or not at all.
import { test } from 'tap';
import { limitImportsOf, mutateImport, replaceOnce } from '../../mutation/mutate.js';

const COMPILED = `// A user.
import { other } from './other.js';
import { MAX_A, MAX_AB, } from '../nbd/limits.js';
export const check = (n) => n <= MAX_A + MAX_AB + other;
`;

await test('a text that is there once', (t) => {
  t.equal(replaceOnce('a b c', 'b', '$&'), 'a $& c', 'as it is written');
  t.throws(() => replaceOnce('a b c', 'd', ''), /it does not have: d/);
  t.throws(() => replaceOnce('aaa', 'aa', ''), /more than one: aa/);
  t.end();
});

await test('what a file imports from limits', (t) => {
  t.same(limitImportsOf(COMPILED), [
    { module: '../nbd/limits.js', constants: ['MAX_A', 'MAX_AB'] },
  ]);
  t.same(limitImportsOf("import { x } from './limits-table.js';\n"), []);
  t.end();
});

await test('another value for the file that imports it', (t) => {
  t.equal(
    mutateImport(COMPILED, 'MAX_A', 'value * 2').split('\n')[2],
    "import { MAX_A as true_MAX_A, MAX_AB, } from '../nbd/limits.js'; const MAX_A = ((value) => value * 2)(true_MAX_A);",
  );
  t.match(mutateImport(COMPILED, 'MAX_AB', 'Infinity'), /\{ MAX_A, MAX_AB as true_MAX_AB, \}/);
  t.throws(() => mutateImport(COMPILED, 'other', '1'), /it imports other 0 times/);
  t.throws(() => mutateImport(COMPILED + COMPILED, 'MAX_A', '1'), /it imports MAX_A 2 times/);
  t.end();
});
