// Counters of decoding: of a thread, and of all.
import { test } from 'tap';
import { DecodeCounts, sumOfDecoding } from '../../../daemon/pieces/decode-counts.js';

await test('the sum of two threads', (t) => {
  const [one, two] = [new DecodeCounts(), new DecodeCounts()];
  one.decoded('gzip', 0.02);
  one.decoded('zstd', 0.001);
  one.digestFailed('estargz');
  one.hits = 5;
  two.decoded('gzip', 3);
  two.digestFailed('estargz');
  two.digestFailed('soci');
  two.joined = 2;
  two.hits = 1;
  const sum = sumOfDecoding([one.posted(100), two.posted(11)], 1000);
  t.match(sum, { hits: 6, misses: 3, joined: 2, bytes: 1111 });
  t.same(sum.failures, [
    ['estargz', 2],
    ['soci', 1],
  ]);
  t.same(
    sum.seconds.map(([codec, { count, sum: seconds }]) => [codec, count, seconds]),
    [
      ['gzip', 2, 3.02],
      ['zstd', 1, 0.001],
    ],
  );
  t.end();
});

await test('nothing was decoded', (t) => {
  const none = { hits: 0, misses: 0, joined: 0, bytes: 0, seconds: [], failures: [] };
  t.same(sumOfDecoding([], 0), none);
  t.same(new DecodeCounts().posted(0), none);
  t.end();
});
