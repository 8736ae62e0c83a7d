// The exposition format of Prometheus, as its documentation has it.
import { test } from 'tap';
import { MetricsText } from '../../../daemon/metrics/text.js';

await test('families, samples and labels', (t) => {
  const text = new MetricsText();
  text.family('a_total', 'counter', 'Help.').sample(1).sample(2.5, { x: 'y', z: '' });
  t.equal(
    text.toString(),
    '# HELP a_total Help.\n# TYPE a_total counter\na_total 1\na_total{x="y",z=""} 2.5\n',
  );
  t.end();
});

await test('values of labels are escaped', (t) => {
  const text = new MetricsText();
  text.family('a', 'gauge', 'Help.').sample(1, { x: 'q"b\\n\nend' });
  t.match(text.toString(), 'a{x="q\\"b\\\\n\\nend"} 1\n');
  t.end();
});

await test('buckets of histograms are cumulative', (t) => {
  const text = new MetricsText();
  text.family('h', 'histogram', 'Help.');
  text.histogram({ buckets: [1, 0, 2, 4], count: 7, sum: 9.5 }, [0.1, 1, 10], { host: 'a' });
  t.same(text.toString().trim().split('\n').slice(2), [
    'h_bucket{host="a",le="0.1"} 1',
    'h_bucket{host="a",le="1"} 1',
    'h_bucket{host="a",le="10"} 3',
    'h_bucket{host="a",le="+Inf"} 7',
    'h_sum{host="a"} 9.5',
    'h_count{host="a"} 7',
  ]);
  t.end();
});
