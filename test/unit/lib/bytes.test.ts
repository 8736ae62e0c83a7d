// The byte helpers: 64-bit integers at and beyond what a number can hold, views, comparisons, texts.
import { test } from 'tap';
import {
  bytesMatch,
  hex32,
  hexOf,
  latin1Of,
  u64le,
  viewOf,
  writeU64,
} from '../../../daemon/lib/bytes.js';

await test('u64le is exact up to 2^53 and never below a limit above', (t) => {
  const bytes = Buffer.alloc(24);
  const cases = [0n, 1n, 0xffff_ffffn, 0x1_0000_0000n, 0x1_0000_0001n, (1n << 53n) - 1n, 1n << 53n];
  for (const value of cases) {
    bytes.writeBigUInt64LE(value, 8);
    t.equal(u64le(viewOf(bytes), 8), Number(value));
  }
  for (const value of [(1n << 53n) + 1n, (1n << 63n) - 1n, (1n << 64n) - 1n]) {
    bytes.writeBigUInt64LE(value, 8);
    t.ok(u64le(viewOf(bytes), 8) > Number.MAX_SAFE_INTEGER, 'rounded, but not into range');
  }
  t.end();
});

await test('writeU64 writes every safe integer', (t) => {
  const bytes = Buffer.alloc(10);
  for (const value of [0, 1, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, 2 ** 53]) {
    writeU64(viewOf(bytes), 1, value);
    t.equal(bytes.readBigUInt64BE(1), BigInt(value));
  }
  t.end();
});

await test('a view covers exactly the bytes of its array', (t) => {
  const all = Buffer.from('00112233445566778899', 'hex');
  const view = viewOf(all.subarray(2, 6));
  t.equal(view.byteLength, 4);
  t.equal(view.getUint32(0), 0x2233_4455);
  t.throws(() => view.getUint8(4), RangeError);
  t.end();
});

await test('bytesMatch: at an offset, and not past the end', (t) => {
  const bytes = Buffer.from('abcdef');
  t.ok(bytesMatch(bytes, 0, Buffer.from('abc')));
  t.ok(bytesMatch(bytes, 3, Buffer.from('def')));
  t.notOk(bytesMatch(bytes, 4, Buffer.from('efg')));
  t.notOk(bytesMatch(bytes, 0, Buffer.from('abd')));
  t.ok(bytesMatch(bytes, 6, Buffer.alloc(0)));
  t.end();
});

await test('bytes and numbers as hexadecimal text', (t) => {
  t.equal(hex32(0), '0x00000000');
  t.equal(hex32(-1), '0xffffffff');
  t.equal(hex32(0x1a2b), '0x00001a2b');
  t.equal(hexOf(Buffer.from('xyz').subarray(1)), '797a');
  t.end();
});

await test('latin1Of has a character for each byte, of exactly this array', (t) => {
  const all = Uint8Array.of(1, 0x41, 0xe9, 0xff, 2);
  t.equal(latin1Of(all.subarray(1, 4)), 'A\u00e9\u00ff');
  t.equal(latin1Of(new Uint8Array()), '');
  t.end();
});
