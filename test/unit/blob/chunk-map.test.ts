// The map of chunks: bits at the edges of words, what clearing does, and a model of all of it.
import * as fc from 'fast-check';
import { test } from 'tap';
import {
  CHUNK_SIZE,
  ChunkMap,
  chunkLength,
  chunkOf,
  chunksOf,
  MAP_HITS,
} from '../../../daemon/blob/chunk-map.js';
import { holds } from '../../support/holds.js';
import { SEED } from '../../support/seed.js';

fc.configureGlobal({ seed: SEED });

const CHUNKS = 100;
const SIZE = CHUNKS * CHUNK_SIZE - 100;

await test('the grid', (t) => {
  t.equal(chunksOf(0), 0);
  t.equal(chunksOf(1), 1);
  t.equal(chunksOf(CHUNK_SIZE), 1);
  t.equal(chunksOf(CHUNK_SIZE + 1), 2);
  t.equal(chunksOf(2 ** 45), 2 ** 29);
  t.equal(chunkOf(2 ** 45 - 1), 2 ** 29 - 1);
  t.equal(chunkLength(SIZE, 0), CHUNK_SIZE);
  t.equal(chunkLength(SIZE, CHUNKS - 1), CHUNK_SIZE - 100);
  t.end();
});

await test('a blob without bytes has all of its chunks', (t) => {
  const map = ChunkMap.create(0);
  t.equal(map.hasAll(0, -1), true);
  t.equal(map.count(), 0);
  t.end();
});

await test('readers of the same memory see what was set', (t) => {
  const map = ChunkMap.create(SIZE);
  const other = new ChunkMap(map.state, SIZE);
  map.setSlot(31, 7);
  map.set(31);
  map.setComplete(true);
  map.add(MAP_HITS);
  t.ok(other.has(31));
  t.equal(other.slotOf(31), 7);
  t.equal(other.slotOf(30), -1);
  t.ok(other.hasSlots);
  t.ok(other.isComplete);
  t.equal(other.counted(MAP_HITS), 1);
  map.setComplete(false);
  t.notOk(other.isComplete);
  t.ok(other.hasSlots, 'the other flag stays');
  t.end();
});

await test('clearing advances the generation once, and ends slots and marks', (t) => {
  const map = ChunkMap.create(SIZE);
  for (let chunk = 0; chunk < CHUNKS; chunk++) map.set(chunk);
  map.setSlot(40, 3);
  map.mark(41);
  const { generation } = map;
  map.clear(30, 65);
  t.equal(map.generation, generation + 1);
  t.equal(map.count(), CHUNKS - 36);
  t.equal(map.slotOf(40), -1);
  t.equal(map.takeMark(0, CHUNKS - 1), -1);
  t.end();
});

await test('a touch is taken once, and a new chunk has one', (t) => {
  const map = ChunkMap.create(SIZE);
  map.set(5);
  t.equal(map.takeTouch(5), true);
  t.equal(map.takeTouch(5), false);
  map.touch(4, 6);
  t.equal(map.takeTouch(5), true);
  t.equal(map.takeTouch(6), true);
  t.equal(map.takeTouch(7), false);
  t.end();
});

const range = fc
  .tuple(fc.integer({ min: 0, max: CHUNKS - 1 }), fc.integer({ min: 0, max: CHUNKS - 1 }))
  .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
const steps = fc.array(fc.tuple(fc.constantFrom('set', 'clear', 'mark', 'ask'), range), {
  maxLength: 60,
});

await test('any sequence does what sets of numbers do', async (t) => {
  await holds(
    t,
    fc.property(steps, (sequence) => {
      const map = ChunkMap.create(SIZE);
      const present = new Set<number>();
      const marks = new Set<number>();
      return sequence.every(([step, [first, last]]) => {
        const chunks = Array.from({ length: last - first + 1 }, (_, i) => first + i);
        if (step === 'set') {
          chunks.forEach((chunk) => {
            map.set(chunk);
            present.add(chunk);
          });
        } else if (step === 'clear') {
          map.clear(first, last);
          chunks.forEach((chunk) => present.delete(chunk) && marks.delete(chunk));
          chunks.forEach((chunk) => marks.delete(chunk));
        } else if (step === 'mark') {
          map.mark(first);
          marks.add(first);
        } else {
          const marked = chunks.filter((chunk) => marks.has(chunk)).at(-1) ?? -1;
          if (map.takeMark(first, last) !== marked) return false;
          marks.delete(marked);
        }
        return (
          map.hasAll(first, last) === chunks.every((chunk) => present.has(chunk)) &&
          map.count(first, last) === chunks.filter((chunk) => present.has(chunk)).length &&
          map.has(last) === present.has(last)
        );
      });
    }),
    {},
  );
});
