// The reads of a cold walk: a page is read once, and neighbours together up to a limit.
import t from 'tap';
import { PageCache } from '../../bench/cold/walk.js';

const KIB = 1024;

await t.test('a page that is there is not read again', (test) => {
  const cache = new PageCache(64 * KIB);
  cache.read(5 * KIB, 1);
  cache.read(0, 16 * KIB);
  cache.read(0, 16 * KIB);
  test.strictSame(cache.reads, [
    { offset: 4 * KIB, length: 4 * KIB },
    { offset: 0, length: 4 * KIB },
    { offset: 8 * KIB, length: 8 * KIB },
  ]);
  test.end();
});

await t.test('a long read is cut, and ends with the last page', (test) => {
  const cache = new PageCache(258 * KIB);
  cache.read(0, 258 * KIB);
  test.strictSame(cache.reads, [
    { offset: 0, length: 128 * KIB },
    { offset: 128 * KIB, length: 128 * KIB },
    { offset: 256 * KIB, length: 4 * KIB },
  ]);
  test.end();
});
