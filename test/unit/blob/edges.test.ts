// The first and last bytes of a blob: how many of them, in how many reads.
import { test } from 'tap';
import {
  HEAD_SIZE,
  MAX_TAIL_SIZE,
  MIN_TAIL_SIZE,
  WHOLE_SIZE,
  readEdges,
} from '../../../daemon/blob/edges.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes } from '../../support/pattern.js';

await test('a small blob is read in one piece', async (t) => {
  for (const size of [0, 1, WHOLE_SIZE]) {
    const source = new MemorySource(randomBytes(1, size));
    const { head, tail } = await readEdges(source);
    t.ok(head.equals(source.bytes));
    t.equal(tail, head);
    t.same(source.reads, [[0, size]]);
  }
});

await test('head and tail of a larger blob are two reads', async (t) => {
  const sizes: [size: number, tail: number][] = [
    [WHOLE_SIZE + 1, MIN_TAIL_SIZE],
    [192 * 80_000, 80 << 10],
    [192 * MAX_TAIL_SIZE + 4096, MAX_TAIL_SIZE],
  ];
  for (const [size, length] of sizes) {
    const source = new MemorySource(Buffer.alloc(size, 7));
    const { head, tail } = await readEdges(source);
    t.same(source.reads, [
      [0, HEAD_SIZE],
      [size - length, length],
    ]);
    t.same([head.length, tail.length], [HEAD_SIZE, length]);
  }
});
