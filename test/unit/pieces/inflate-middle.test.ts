// Deflate streams from the middle: every block of a stream, at every bit, with its window.
import { test } from 'tap';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { indexGzip } from '../../../daemon/inflate/index-gzip.js';
import { inflateMiddle } from '../../../daemon/pieces/inflate-middle.js';
import { textBytes } from '../../support/pattern.js';
import { MemorySource } from '../../support/memory-source.js';

const PLAIN = textBytes(3, 200_000);

await test('blocks that begin at any bit', async (t) => {
  const stored = gzipSync(PLAIN, { memLevel: 1 });
  const table = await indexGzip(new MemorySource(stored), UNBOUNDED, () => undefined, 1);
  const { begins, positions, count, blocks } = table;
  const seen = new Set<number>();
  for (let i = 1; i < count; i++) {
    const at = positions[i] as number;
    const bits = blocks?.bits[i] as number;
    seen.add(bits);
    const window = PLAIN.subarray(Math.max(0, at - 32_768), at);
    const wanted = Math.min(3000, PLAIN.length - at);
    const got = await inflateMiddle(stored.subarray(begins[i]), { bits, window }, wanted);
    t.ok(Buffer.from(got).equals(PLAIN.subarray(at, at + wanted)), `block ${i}, ${bits} bits`);
  }
  t.same(
    [...seen].toSorted((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7],
  );
});

await test('the members that follow', async (t) => {
  const [first, second, third] = [50_000, 120_000, 200_000].map((end, i) =>
    gzipSync(PLAIN.subarray([0, 50_000, 120_000][i], end)),
  ) as [Buffer, Buffer, Buffer];
  const stored = Buffer.concat([first, second, third, Buffer.alloc(100)]);
  const start = { bits: 0, window: new Uint8Array(0) };
  for (const wanted of [1, 50_000, 50_001, 120_000, 130_000, 200_000]) {
    const got = await inflateMiddle(stored.subarray(10), start, wanted);
    t.ok(Buffer.from(got).equals(PLAIN.subarray(0, wanted)), `${wanted} bytes`);
  }
  const more = await inflateMiddle(stored.subarray(10), start, 200_001);
  t.equal(more.length, 200_000);
  for (let end = first.length - 9; end < first.length + 12; end++) {
    const cut = await inflateMiddle(stored.subarray(10, end), start, 50_001);
    t.ok(Buffer.from(cut).equals(PLAIN.subarray(0, 50_000)), `cut at ${end}`);
  }
  const other = Buffer.concat([first, Buffer.from('not a gzip member')]);
  await t.rejects(inflateMiddle(other.subarray(10), start, 50_001), { code: 'Z_DATA_ERROR' });
});

await test('fewer bytes than are wanted, and bad ones', async (t) => {
  const stored = deflateRawSync(PLAIN);
  const start = { bits: 0, window: new Uint8Array(0) };
  t.equal((await inflateMiddle(stored, start, PLAIN.length + 1)).length, PLAIN.length);
  const cut = await inflateMiddle(stored.subarray(0, stored.length / 2), start, PLAIN.length);
  t.ok(cut.length < PLAIN.length && Buffer.from(cut).equals(PLAIN.subarray(0, cut.length)));
  await t.rejects(inflateMiddle(Buffer.alloc(100, 0xff), start, 100), /invalid/);
  await t.rejects(
    inflateMiddle(Buffer.alloc(100, 0xff), { bits: 3, window: PLAIN.subarray(0, 9) }, 100),
  );
});
