// Latencies in buckets, and sums of them.
import { test } from 'tap';
import { Histogram, LATENCY_BOUNDS } from '../../../daemon/lib/histogram.js';

await test('a histogram', (t) => {
  const histogram = new Histogram();
  for (const seconds of [0, 0.005, 0.006, 10, 11]) histogram.add(seconds);
  t.equal(histogram.buckets.length, LATENCY_BOUNDS.length + 1);
  t.same([histogram.buckets[0], histogram.buckets[1]], [2, 1]);
  t.same(histogram.buckets.slice(-2), [1, 1]);
  t.equal(histogram.count, 5);
  t.equal(histogram.sum, 21.011);
  t.end();
});

await test('the sum of two, and a copy', (t) => {
  const [a, b] = [new Histogram(), new Histogram()];
  a.add(1);
  b.add(2);
  b.add(20);
  const { data } = a;
  a.addAll(b);
  t.same(a.data, { buckets: [0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1], count: 3, sum: 23 });
  t.equal(data.count, 1, 'a copy');
  t.equal(data.buckets[8], 0);
  t.end();
});
