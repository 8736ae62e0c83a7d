// Which reads are taken for sequential, and what is fetched ahead of them.
import t from 'tap';
import { ReadAhead } from '../../../daemon/fetch/read-ahead.js';

await t.test('the second read that goes on opens a window, which doubles', (test) => {
  const ahead = new ReadAhead(1000);
  test.equal(ahead.used(10, 10), null);
  test.equal(ahead.used(10, 10), null, 'another part of the same chunk');
  test.same(ahead.used(11, 11), { first: 12, last: 13 });
  const sizes: number[] = [];
  // Its reader comes to the first chunk of each window, which is marked.
  for (let mark = 12, i = 0; i < 7; i++) {
    const next = ahead.used(mark, mark);
    if (!next) break;
    sizes.push(next.last - next.first + 1);
    mark = next.first;
  }
  test.same(sizes, [4, 8, 16, 32, 64, 64, 64], 'up to 4 MiB');
  test.end();
});

await t.test('what is fetched ahead is without gaps, and ends with the blob', (test) => {
  const ahead = new ReadAhead(100);
  const fetched = new Set<number>();
  for (let chunk = 0; chunk < 100; chunk++) {
    const { first, last } = ahead.used(chunk, chunk) ?? { first: 0, last: -1 };
    for (let each = first; each <= last; each++) {
      test.notOk(fetched.has(each), `${each} once`);
      fetched.add(each);
    }
  }
  test.equal(fetched.size, 98);
  test.ok(Math.max(...fetched) === 99);
  test.end();
});

await t.test(
  'random reads fetch nothing ahead; several sequential ones do not disturb each other',
  (test) => {
    const ahead = new ReadAhead(100_000);
    for (let i = 0; i < 200; i++)
      test.equal(ahead.used((i * 7919) % 90_000, (i * 7919) % 90_000), null);
    const starts = [0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000, 70_000];
    for (const start of starts) test.equal(ahead.used(start + 5000, start + 5000), null);
    for (const start of starts) {
      test.same(ahead.used(start + 5001, start + 5001), {
        first: start + 5002,
        last: start + 5003,
      });
    }
    test.end();
  },
);

await t.test('long reads have long windows', (test) => {
  const ahead = new ReadAhead(1000);
  test.equal(ahead.used(0, 15), null);
  test.same(ahead.used(16, 31), { first: 32, last: 47 });
  test.same(ahead.used(32, 47), { first: 48, last: 79 });
  test.end();
});
