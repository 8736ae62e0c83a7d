// Binary traces of the reference implementation: what its writer writes is read, anything else is refused with its
// place.
import t from 'tap';
import { isUpstreamTrace, parseUpstreamTrace } from '../../../daemon/fetch/upstream-trace.js';
import { writeUpstreamTrace } from '../../support/upstream-trace.js';

function one(count: bigint, offset: bigint): Buffer {
  return writeUpstreamTrace([{ layer: 0, count, offset }]);
}

await t.test('reads, in their order', (test) => {
  const bytes = writeUpstreamTrace([
    { layer: 0, count: 4096, offset: 0 },
    { operation: 'W', layer: 0, count: 4096, offset: 0 },
    { layer: 3, count: 100, offset: 1n << 40n },
    { layer: 3, count: 0, offset: 5 },
    { layer: 0xffffffff, count: 1, offset: Number.MAX_SAFE_INTEGER - 1 },
  ]);
  test.ok(isUpstreamTrace(bytes));
  test.notOk(isUpstreamTrace(Buffer.from('/etc/passwd\n')));
  test.notOk(isUpstreamTrace(bytes.subarray(0, 3)));
  test.same(parseUpstreamTrace(bytes, 'trace'), [
    { layer: 0, offset: 0, length: 4096 },
    { layer: 3, offset: 2 ** 40, length: 100 },
    { layer: 0xffffffff, offset: Number.MAX_SAFE_INTEGER - 1, length: 1 },
  ]);
  test.same(parseUpstreamTrace(writeUpstreamTrace([]), 'trace'), []);
  // Not at the beginning of its memory.
  const within = Buffer.concat([Buffer.alloc(7), bytes]).subarray(7);
  test.equal(parseUpstreamTrace(within, 'trace').length, 3);
  test.end();
});

await t.test('damaged ones are refused with their place', (test) => {
  const good = writeUpstreamTrace([{ layer: 0, count: 4096, offset: 0 }]);
  const changed = (at: number, byte: number): Buffer => {
    const bytes = Buffer.from(good);
    bytes[at] = byte;
    return bytes;
  };
  for (const [bytes, facts] of [
    [Buffer.alloc(0), { section: 'trace header', offset: 0, got: '0 bytes' }],
    [good.subarray(0, 23), { section: 'trace header', offset: 0 }],
    [changed(0, 1), { section: 'trace header', offset: 0 }],
    [changed(8, 1), { section: 'trace header', offset: 8 }],
    [changed(15, 255), { section: 'trace header', offset: 8 }],
    [good.subarray(0, 47), { section: 'trace header', offset: 8 }],
    [one(4096n, -1n), { section: 'record 0', offset: 24, got: '4096 bytes at -1' }],
    [one(1n << 60n, 0n), { section: 'record 0', offset: 24 }],
    [one((1n << 64n) - 1n, (1n << 63n) - 1n), { section: 'record 0', offset: 24 }],
  ] as const) {
    test.throws(() => parseUpstreamTrace(bytes, 'trace'), { code: 'BAD_FORMAT', facts });
  }
  test.throws(() => parseUpstreamTrace(changed(30, 1), 'trace'), {
    code: 'BAD_CHECKSUM',
    facts: { section: 'trace header', offset: 16 },
  });
  test.end();
});

await t.test('long ones are refused', (test) => {
  test.throws(() => parseUpstreamTrace(Buffer.alloc(5 << 20), 'trace'), { code: 'LIMIT' });
  const records = Array.from({ length: (1 << 17) + 1 }, () => ({ layer: 0, count: 1, offset: 0 }));
  test.throws(() => parseUpstreamTrace(writeUpstreamTrace(records), 'trace'), { code: 'LIMIT' });
  test.equal(parseUpstreamTrace(writeUpstreamTrace(records.slice(1)), 'trace').length, 1 << 17);
  test.end();
});
