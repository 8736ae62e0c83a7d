// What was fetched before it was wanted: read, evicted, or of no use when the blob is closed.
import t from 'tap';
import { CHUNK_SIZE, ChunkMap } from '../../../daemon/blob/chunk-map.js';
import { noPrefetch, Prefetched } from '../../../daemon/fetch/prefetched.js';

await t.test('bytes are counted once, by their class', (test) => {
  const map = ChunkMap.create(100 * CHUNK_SIZE);
  const totals = noPrefetch();
  const prefetched = new Prefetched(map, totals, (chunk) => chunk);
  const arrive = (chunk: number, as: 'demand' | 'ahead' | 'fill'): void => {
    map.set(chunk);
    prefetched.arrived(chunk, as);
  };
  prefetched.settle();
  for (const chunk of [1, 2, 3, 4]) arrive(chunk, 'ahead');
  arrive(40, 'fill');
  arrive(50, 'demand');
  prefetched.settle();
  test.same(totals, noPrefetch(), 'nothing is known yet');
  map.touch(1, 1);
  map.touch(40, 60);
  prefetched.settle();
  prefetched.settle();
  test.same(totals.ahead, { used: 1, unused: 0 });
  test.same(totals.fill, { used: 40, unused: 0 });
  map.clear(2, 2);
  map.clear(1, 1);
  prefetched.settle();
  test.same(totals.ahead, { used: 1, unused: 2 }, 'evicted before it was read');
  map.touch(3, 3);
  map.clear(3, 3);
  arrive(3, 'demand');
  test.same(totals.ahead, { used: 4, unused: 2 }, 'read and evicted before anyone looked');
  arrive(2, 'ahead');
  prefetched.settle(true);
  test.same(totals.ahead, { used: 4, unused: 2 + 4 + 2 }, 'closed');
  map.touch(4, 4);
  prefetched.settle(true);
  test.same(totals.ahead, { used: 4, unused: 8 });
  test.end();
});

await t.test('of a complete blob only what was read before is counted', (test) => {
  const map = ChunkMap.create(100 * CHUNK_SIZE);
  const totals = noPrefetch();
  const prefetched = new Prefetched(map, totals, (chunk) => chunk);
  for (const chunk of [1, 2, 4]) {
    map.set(chunk);
    prefetched.arrived(chunk, 'fill');
  }
  map.touch(1, 1);
  map.setComplete(true);
  prefetched.settle(true);
  test.same(totals.fill, { used: 1, unused: 0 });
  test.end();
});
