// Trace files: ours and upstream's.
import t from 'tap';
import {
  formatTrace,
  isUpstreamTrace,
  mapUpstreamTrace,
  parseTrace,
  parseUpstreamTrace,
  type TraceEntry,
} from '../../../daemon/fetch/trace-file.js';
import { crc32c } from '../../../daemon/native/crc32c.js';

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

/** As upstream writes it. */
function upstream(records: readonly (readonly [string, number, bigint, bigint])[]): Buffer {
  const bytes = Buffer.alloc(24 + 24 * records.length);
  records.forEach(([operation, layer, count, offset], i) => {
    const at = 24 + 24 * i;
    // The padding is part of the checksum.
    bytes.fill(0xee, at, at + 24);
    bytes.write(operation, at, 'latin1');
    bytes.writeUInt32LE(layer, at + 4);
    bytes.writeBigUInt64LE(count, at + 8);
    bytes.writeBigInt64LE(offset, at + 16);
  });
  bytes.writeUInt32LE(3270449184, 0);
  bytes.writeBigUInt64LE(BigInt(24 * records.length), 8);
  bytes.writeUInt32LE(crc32c(bytes, 24, bytes.length - 24, 0), 16);
  return bytes;
}

await t.test("upstream's binary traces are read", (test) => {
  const bytes = upstream([
    ['R', 0, 4096n, 0n],
    ['W', 0, 4096n, 0n],
    ['R', 3, 100n, 1n << 40n],
    ['R', 3, 0n, 5n],
  ]);
  test.ok(isUpstreamTrace(bytes));
  test.notOk(isUpstreamTrace(Buffer.from('/etc/passwd\n')));
  test.same(parseUpstreamTrace(bytes, 'trace'), [
    { layer: 0, offset: 0, length: 4096 },
    { layer: 3, offset: 2 ** 40, length: 100 },
  ]);
  test.same(parseUpstreamTrace(upstream([]), 'trace'), []);
  test.end();
});

await t.test('damaged ones are refused with their place', (test) => {
  const good = upstream([['R', 0, 4096n, 0n]]);
  const changed = (at: number, byte: number): Buffer => {
    const bytes = Buffer.from(good);
    bytes[at] = byte;
    return bytes;
  };
  for (const [bytes, facts] of [
    [good.subarray(0, 23), { section: 'header', offset: 0 }],
    [changed(0, 1), { section: 'header', offset: 0 }],
    [changed(8, 1), { section: 'header', offset: 8 }],
    [changed(15, 255), { section: 'header', offset: 8 }],
    [good.subarray(0, 47), { section: 'header', offset: 8 }],
    [upstream([['R', 0, 4096n, -1n]]), { section: 'record 0', offset: 32 }],
    [upstream([['R', 0, 1n << 60n, 0n]]), { section: 'record 0', offset: 32 }],
  ] as const) {
    test.throws(() => parseUpstreamTrace(bytes, 'trace'), { code: 'BAD_FORMAT', facts });
  }
  test.throws(() => parseUpstreamTrace(changed(30, 1), 'trace'), { code: 'BAD_CHECKSUM' });
  test.throws(() => parseUpstreamTrace(Buffer.alloc(5 << 20), 'trace'), { code: 'LIMIT' });
  test.end();
});

await t.test('entries of layers become chunks of blobs, by the function of the caller', (test) => {
  const entries = [
    { layer: 0, offset: 0, length: 10 },
    { layer: 0, offset: 10, length: 10 },
    { layer: 9, offset: 0, length: 10 },
    { layer: 1, offset: 0, length: 10 },
  ];
  const mapped = mapUpstreamTrace(entries, (layer, offset) =>
    layer > 1 ? null : { digest: layer === 0 ? A : B, first: Math.floor(offset / 100), last: 1 },
  );
  test.same(mapped, [
    { digest: A, first: 0, last: 1 },
    { digest: B, first: 0, last: 1 },
  ]);
  test.end();
});
