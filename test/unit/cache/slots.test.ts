// Memory for chunks: whose slot is taken, and what its owner's readers see.
import { test, type Test } from 'tap';
import { CHUNK_SIZE, ChunkMap } from '../../../daemon/blob/chunk-map.js';
import { Slots } from '../../../daemon/cache/slots.js';
import { files } from '../../../daemon/native/file.js';

const CHUNKS = 40;
const bytesOf = (n: number, length = CHUNK_SIZE): Buffer => Buffer.alloc(length, n);

function setUp(t: Test, count: number): { slots: Slots; map: ChunkMap } {
  const slots = new Slots(count);
  t.teardown(() => slots.close());
  return { slots, map: ChunkMap.create(CHUNKS * CHUNK_SIZE) };
}

/** The first byte of a chunk as a reader finds it; -1: it is not present. */
function read(slots: Slots, map: ChunkMap, chunk: number): number {
  if (!map.has(chunk)) return -1;
  const byte = Buffer.alloc(1);
  files.readAtHand(slots.fd, byte, 0, 1, map.slotOf(chunk) * CHUNK_SIZE);
  return byte[0] ?? -1;
}

await test('the oldest chunk that no read touched makes room', (t) => {
  const { slots, map } = setUp(t, 3);
  for (const chunk of [1, 2, 3]) slots.put(map, chunk, bytesOf(chunk));
  for (const chunk of [1, 2, 3]) map.takeTouch(chunk);
  map.touch(1, 1);
  const { generation } = map;
  slots.put(map, 4, bytesOf(4));
  t.same(
    [1, 2, 3, 4].map((chunk) => read(slots, map, chunk)),
    [1, -1, 3, 4],
  );
  t.equal(map.generation, generation + 1, 'readers of the slot notice');
  t.end();
});

await test('when all were touched, one of them goes', (t) => {
  const { slots, map } = setUp(t, 3);
  for (const chunk of [1, 2, 3, 4, 5]) slots.put(map, chunk, bytesOf(chunk));
  t.equal(map.count(), 3);
  t.equal(read(slots, map, 5), 5);
  t.end();
});

await test('blobs share the slots, and give theirs back', (t) => {
  const { slots, map } = setUp(t, 3);
  const other = ChunkMap.create(CHUNKS * CHUNK_SIZE);
  slots.put(map, 1, bytesOf(1));
  slots.put(other, 1, bytesOf(11));
  slots.put(map, 2, bytesOf(2));
  map.clear(0, CHUNKS - 1);
  slots.release(map, 0, CHUNKS - 1);
  slots.put(other, 2, bytesOf(12));
  slots.put(other, 3, bytesOf(13));
  t.same(
    [1, 2, 3].map((chunk) => read(slots, other, chunk)),
    [11, 12, 13],
    'nothing of it was evicted',
  );
  t.equal(map.count(), 0);
  t.end();
});

await test('the memory of a store that died goes on', (t) => {
  const { slots, map } = setUp(t, 4);
  for (const chunk of [1, 2]) slots.put(map, chunk, bytesOf(chunk));
  const next = new Slots(4);
  next.adopt(slots.fd, map);
  next.adopt(slots.fd, ChunkMap.create(CHUNK_SIZE));
  t.equal(next.fd, slots.fd);
  for (const chunk of [3, 4]) next.put(map, chunk, bytesOf(chunk));
  t.same(
    [1, 2, 3, 4].map((chunk) => read(next, map, chunk)),
    [1, 2, 3, 4],
    'the two that were free were taken',
  );
  t.throws(() => next.adopt(slots.fd, map), { code: 'BUG' }, 'too late');
  t.end();
});
