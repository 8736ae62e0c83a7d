// Checkpoints of both versions, and what is wrong with them.
import { test } from 'tap';
import { parseZinfo } from '../../../daemon/soci/zinfo.js';

const SIZE = 17 + 32_768;

function zinfoOf(count: number, stored = count): Buffer {
  const bytes = Buffer.alloc(12 + SIZE * stored);
  bytes.writeInt32LE(count, 0);
  bytes.writeBigInt64LE(4096n, 4);
  for (let i = 0; i < stored; i++) {
    const at = 12 + SIZE * i;
    bytes.writeBigInt64LE(BigInt(100 * i + 10), at);
    bytes.writeBigInt64LE(BigInt(5000 * i), at + 8);
    bytes[at + 16] = i % 8;
    bytes.fill(i, at + 17, at + SIZE);
  }
  return bytes;
}

await test('version 2', (t) => {
  const zinfo = parseZinfo(zinfoOf(3), 'ztoc');
  t.match(zinfo, { version: 2, count: 3 });
  t.match(zinfo.at(2), { stored: 210, plain: 10_000, bits: 2 });
  t.same(zinfo.at(2).window, Buffer.alloc(32_768, 2));
  t.end();
});

await test('version 1 has no first checkpoint', (t) => {
  const zinfo = parseZinfo(zinfoOf(3, 2), 'ztoc');
  t.match(zinfo, { version: 1, count: 3 });
  t.match(zinfo.at(0), { stored: 10, plain: 0, bits: 0, window: { length: 0 } });
  t.match(zinfo.at(2), { stored: 110, plain: 5000, bits: 1 });
  t.match(parseZinfo(zinfoOf(1, 0), 'ztoc'), { version: 1, count: 1 });
  t.end();
});

await test('what is wrong', (t) => {
  for (const [count, stored] of [
    [0, 0],
    [-1, 0],
    [5, 3],
    [2, 3],
    [0x7fff_ffff, 1],
  ] as const) {
    t.throws(() => parseZinfo(zinfoOf(count, stored), 'ztoc'), {
      code: 'BAD_FORMAT',
      message:
        /^ztoc: ztoc: checkpoints at byte 0: expected the number of checkpoints that \d+ bytes/,
    });
  }
  t.throws(() => parseZinfo(zinfoOf(2).subarray(0, -1), 'ztoc'), { code: 'BAD_FORMAT' });
  for (let length = 0; length < 12; length++) {
    t.throws(() => parseZinfo(Buffer.alloc(length), 'ztoc'), { message: /at least 12 bytes/ });
  }
  const bits = zinfoOf(2);
  bits[12 + SIZE + 16] = 8;
  t.throws(() => parseZinfo(bits, 'ztoc').at(1), {
    message: /bits of checkpoint 1: at most 7, got 8/,
  });
  for (const at of [12 + SIZE, 12 + SIZE + 8]) {
    const negative = zinfoOf(2);
    negative.writeBigInt64LE(-1n, at);
    t.throws(() => parseZinfo(negative, 'ztoc').at(1), {
      message: /an offset below 2\^53, got -1$/,
    });
  }
  t.end();
});
