// Counters: latency buckets, and hosts up to a bound.
import { test } from 'tap';
import {
  Counters,
  Histogram,
  LATENCY_BOUNDS,
  MAX_COUNTED_HOSTS,
} from '../../../../daemon/registry/http/counters.js';

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

await test('hosts by name, up to a bound', (t) => {
  const counters = new Counters();
  for (let i = 0; i < MAX_COUNTED_HOSTS + 10; i++) counters.of(`host${i}`).inFlight++;
  t.equal(counters.hosts.size, MAX_COUNTED_HOSTS + 1);
  t.equal(counters.of('other').inFlight, 10);
  t.equal(counters.of('host0').inFlight, 1);
  t.end();
});
