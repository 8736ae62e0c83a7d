// Columns of numbers: what they keep, and in how many bytes.
import { test } from 'tap';
import {
  folded,
  PACKED_BLOCK,
  packedSize,
  packNumbers,
  unfolded,
  unpackBlock,
} from '../../../daemon/pieces/packed-numbers.js';

function unpacked(numbers: readonly number[]): number[] {
  const packed = packNumbers(numbers);
  const into = new Float64Array(PACKED_BLOCK).fill(-1);
  const all: number[] = [];
  for (let i = 0; i < numbers.length; i += PACKED_BLOCK) {
    const count = Math.min(PACKED_BLOCK, numbers.length - i);
    unpackBlock(packed, i / PACKED_BLOCK, count, into);
    all.push(...into.subarray(0, count));
  }
  return all;
}

await test('numbers take as many bytes as the largest of their block', (t) => {
  for (const most of [0, 1, 255, 256, 65_535, 65_536, 2 ** 24, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
    const numbers = Array.from({ length: 70 }, (_, i) => (i === 40 ? most : i % 2));
    t.same(unpacked(numbers), numbers);
    const { widths, bytes } = packNumbers(numbers);
    t.same([...widths], [1, Math.max(1, Math.ceil(Math.log2(most + 1) / 8)), 1]);
    t.ok(bytes.buffer instanceof SharedArrayBuffer);
  }
  t.end();
});

await test('zeros take nothing', (t) => {
  const zeros = Array.from({ length: 1000 }, () => 0);
  t.same(unpacked(zeros), zeros);
  t.equal(packedSize(packNumbers(zeros)), 0);
  t.same(unpacked([]), []);
  const few = zeros.map((_, i) => (i === 500 ? 7 : 0));
  t.same(unpacked(few), few);
  t.equal(packedSize(packNumbers(few)), PACKED_BLOCK + 32 * 5);
  t.end();
});

await test('differences are folded', (t) => {
  t.same([0, -1, 1, -2, 2].map(folded), [0, 1, 2, 3, 4]);
  for (const value of [0, 5, -5, 2 ** 51, -(2 ** 51)]) t.equal(unfolded(folded(value)), value);
  t.end();
});

await test('what cannot be kept is an error', (t) => {
  for (const value of [-1, 2 ** 56]) t.throws(() => packNumbers([value]), RangeError);
  t.end();
});
