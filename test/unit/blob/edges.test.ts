// The first and last bytes of a blob: how many of them, in how many reads.
import { test } from 'tap';
import {
  HEAD_SIZE,
  MAX_TAIL_SIZE,
  MIN_TAIL_SIZE,
  WHOLE_SIZE,
  readEdges,
  remoteTail,
} from '../../../daemon/blob/edges.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes } from '../../support/pattern.js';

await test('a small blob is read in one piece, an empty one not at all', async (t) => {
  for (const size of [0, 1, WHOLE_SIZE]) {
    const source = new MemorySource(randomBytes(1, size));
    const { head, tail } = await readEdges(source);
    t.ok(head.equals(source.bytes));
    t.equal(tail, head);
    t.same(source.reads, size === 0 ? [] : [[0, size]]);
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

await test('of a blob in a registry, the table that may follow is asked for at once', async (t) => {
  const size = 192 * (1 << 20);
  const asked: [offset: number, length: number][] = [];
  class RemoteSource extends MemorySource {
    override readonly isLocal: boolean = false;
    override ensure(offset = 0, length = 0): null {
      asked.push([offset, length]);
      return null;
    }
  }
  const { tail } = await readEdges(new RemoteSource(Buffer.alloc(size, 7)));
  t.equal(tail.length, MAX_TAIL_SIZE, 'no more is in memory');
  t.same(asked[0], [size - (1 << 20), 1 << 20], 'before the reads, which join it');
  t.same(
    [1000, 1 << 20, 192 << 20, 2 ** 40].map((each) => remoteTail(each)),
    [1000, 128 << 10, 1 << 20, 8 << 20],
  );
});
