// A source with its edges in memory: which reads come from memory and which do not. It also passes the common suite in
// test/contract.
import { test } from 'tap';
import { EdgeSource, MAX_TAIL_GROWTH } from '../../../daemon/blob/edge-source.js';
import { HEAD_SIZE, MIN_TAIL_SIZE } from '../../../daemon/blob/edges.js';
import { readFully } from '../../../daemon/blob/source.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes } from '../../support/pattern.js';

const SIZE = 1_000_000;
const BYTES = randomBytes(1, SIZE);

/** A source whose edges have been read; its log of reads is empty. */
async function open(bytes = BYTES): Promise<{ edges: EdgeSource; within: MemorySource }> {
  const within = new MemorySource(bytes);
  const edges = new EdgeSource(within);
  await edges.edges();
  within.reads.length = 0;
  return { edges, within };
}

await test('edges come from memory, everything else from the source', async (t) => {
  const { edges, within } = await open();
  const tailBegin = SIZE - MIN_TAIL_SIZE;
  for (const [offset, length] of [
    [0, HEAD_SIZE],
    [HEAD_SIZE, 0],
    [tailBegin, MIN_TAIL_SIZE],
    [SIZE - 1, 1],
  ] as const) {
    t.ok((await readFully(edges, offset, length)).equals(BYTES.subarray(offset, offset + length)));
  }
  t.same(within.reads, []);
  for (const [offset, length] of [
    [HEAD_SIZE - 1, 2],
    [tailBegin - 1, 2],
    [500_000, 10],
  ] as const) {
    t.ok((await readFully(edges, offset, length)).equals(BYTES.subarray(offset, offset + length)));
    t.same(within.reads.splice(0), [[offset, length]]);
  }
});

await test('edges are read once, even if several callers ask at the same time', async (t) => {
  const within = new MemorySource(BYTES);
  const edges = new EdgeSource(within);
  const [a, b] = await Promise.all([edges.edges(), edges.edges()]);
  t.equal(a, b);
  t.equal(within.reads.length, 2);
  t.equal(edges.kept, HEAD_SIZE + MIN_TAIL_SIZE);
});

await test('after the edges are dropped everything comes from the source', async (t) => {
  const { edges, within } = await open();
  edges.forget();
  t.equal(edges.kept, 0);
  await readFully(edges, 0, 100);
  t.same(within.reads, [[0, 100]]);
});

await test('edges that are being read when they are dropped are not kept', async (t) => {
  const { edges } = await open();
  for (const read of [() => edges.prefetch(SIZE / 2, 10), () => edges.edges()]) {
    const reading = read();
    edges.forget();
    await reading;
    t.equal(edges.kept, 0);
  }
});

await test('the tail grows, in one read, by bytes that are needed soon', async (t) => {
  const { edges, within } = await open();
  const tailBegin = SIZE - MIN_TAIL_SIZE;
  await edges.prefetch(800_000, SIZE - 800_000 - 100);
  t.same(within.reads.splice(0), [[800_000, tailBegin - 800_000]]);
  t.ok((await readFully(edges, 800_000, 150_000)).equals(BYTES.subarray(800_000, 950_000)));
  t.same(within.reads, []);
  await edges.prefetch(900_000, 1000);
  await edges.prefetch(500_000, 1000);
  t.same(within.reads, [], 'nothing is read if it is in memory or does not end at the tail');
});

await test('the tail has a maximum length', async (t) => {
  const size = MAX_TAIL_GROWTH + (1 << 20);
  const { edges, within } = await open(Buffer.alloc(size));
  await edges.prefetch(0, size);
  t.same(within.reads, []);
});
