// Which chunks are fetched with one that is read, if its neighbours are there.
import t from 'tap';
import { denseRegion } from '../../../daemon/fetch/dense-region.js';

const CHUNKS = 1000;

const around = (there: readonly number[], first: number, last = first, chunks = CHUNKS) =>
  denseRegion({ first, last }, chunks, (chunk) => there.includes(chunk));

await t.test('a chunk whose neighbours are missing comes alone', (test) => {
  test.equal(around([], 100), null);
  test.equal(around([96, 104], 101), null, 'one of three, but none of the pair; one of seven');
  test.end();
});

await t.test('the largest region that is dense enough', (test) => {
  test.same(around([103], 101), { first: 100, last: 103 }, 'one of three');
  test.same(around([96, 98], 101), { first: 96, last: 103 }, 'two of seven');
  test.same(around([96, 97, 98, 99], 110), { first: 96, last: 111 }, 'four of fifteen');
  test.equal(around([96, 97, 98], 110), null, 'three of fifteen');
  const third = Array.from({ length: 1000 }, (_, i) => i).filter((i) => i % 3 === 0);
  test.same(around(third, 130), { first: 128, last: 191 }, 'at most 4 MiB');
  test.end();
});

await t.test('what is read does not count, and only new chunks have a region', (test) => {
  test.equal(around([], 100, 103), null);
  test.same(around([101], 100), { first: 100, last: 103 });
  test.equal(around([100, 101, 102], 101), null, 'it is on its way already');
  test.equal(around([100, 101, 102], 100, 102), null);
  test.same(
    around([100, 104, 105, 106, 107], 103, 104),
    { first: 96, last: 111 },
    'a part of it is new',
  );
  test.end();
});

await t.test('a region ends with the blob', (test) => {
  test.same(around([8], 9, 9, 10), { first: 8, last: 9 });
  test.same(around([0, 1], 2, 2, 3), { first: 0, last: 2 });
  test.equal(around([], 0, 0, 1), null);
  test.end();
});
