// Trace files: what is written is read, and anything else is refused.
import t from 'tap';
import { formatTrace, parseTrace, type TraceEntry } from '../../../daemon/fetch/trace-file.js';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'b'.repeat(64)}`;
const ENTRIES: TraceEntry[] = [
  { digest: A, first: 0, last: 0 },
  { digest: B, first: 7, last: 12 },
  { digest: A, first: 3, last: 3 },
];

await t.test('what is written is read', (test) => {
  const text = formatTrace(ENTRIES);
  test.equal(text, `overlaybd-nbd trace 1\n${A}\n${B}\n0 0\n1 7-12\n0 3\n`);
  test.same(parseTrace(text, 'trace'), ENTRIES);
  test.same(parseTrace(formatTrace([]), 'trace'), []);
  test.end();
});

await t.test('anything else is refused with its line', (test) => {
  const good = formatTrace(ENTRIES);
  for (const [text, message] of [
    ['', /line 1: expected "overlaybd-nbd trace 1", got ""/],
    [good.replace('trace 1', 'trace 2'), /line 1/],
    [good.slice(0, -1), /expected the end of a line/],
    [
      good.replace('1 7-12', '2 7-12'),
      /line 5: expected the number of a blob and its chunks, got "2 7-12"/,
    ],
    [good.replace('7-12', '12-7'), /line 5/],
    [good.replace('7-12', '-12'), /line 5/],
    [good.replace('7-12', `7-${'9'.repeat(20)}`), /line 5/],
    [`${good}\u001b[2J\n`, /got "\\\\u\{1b\}\[2J"/],
    [good.replace('1 7-12', B), /line 5/],
  ] as const) {
    test.throws(() => parseTrace(text, 'file'), { code: 'BAD_FORMAT', message });
  }
  const many = `overlaybd-nbd trace 1\n${A}\n${'0 1\n'.repeat((1 << 17) + 1)}`;
  test.throws(() => parseTrace(many, 'file'), { code: 'LIMIT' });
  test.throws(() => parseTrace('x'.repeat(5 << 20), 'file'), { code: 'LIMIT' });
  test.end();
});
