// Misspelt words get the closest known word; words that are like no known word get none.
import { test } from 'tap';
import { closest } from '../../../daemon/lib/closest.js';

const WORDS = ['serve', 'status', 'mount', 'umount', 'attach', 'attach-helper', 'log-level'];

await test('typing mistakes get the closest known word', (t) => {
  const cases: [string, string | undefined][] = [
    ['serve', 'serve'],
    ['srve', 'serve'],
    ['sevre', 'serve'],
    ['statsu', 'status'],
    ['mont', 'mount'],
    ['unmount', 'umount'],
    ['attatch', 'attach'],
    ['loglevel', 'log-level'],
    ['', undefined],
    ['x', undefined],
    ['frobnicate', undefined],
    ['y'.repeat(100_000), undefined],
  ];
  for (const [word, meant] of cases) t.equal(closest(word, WORDS), meant, word.slice(0, 20));
  t.equal(closest('serve', []), undefined);
  t.end();
});
