// The cache of decoded blocks: neighbours are adjacent, and no other or incomplete block is ever returned.
import { test } from 'tap';
import { BlockCache } from '../../../daemon/zfile/block-cache.js';
import { seededRandom } from '../../support/pattern.js';

const SIZE = 512;

await test('a kept block is found until its place is reused', (t) => {
  const cache = new BlockCache(SIZE);
  t.equal(cache.find(1, 0, SIZE), -1, 'a new cache is empty, also for block 0');
  const at = cache.place(1, 7);
  t.equal(cache.find(1, 7, SIZE), -1, 'a reserved block is not found before it is decoded');
  cache.keep(1, 7, SIZE);
  t.equal(cache.find(1, 7, SIZE), at);
  t.equal(cache.find(2, 7, SIZE), -1, 'the block of another file');
  t.equal(cache.find(1, 7 + 2 ** 31, SIZE), -1);
  t.equal(cache.place(1, 7), at);
  t.equal(cache.find(1, 7, SIZE), -1, 'a block that is decoded again may fail');
  t.end();
});

await test('of a block of which only the beginning is kept, no more is found', (t) => {
  const cache = new BlockCache(SIZE);
  t.equal(cache.has(1, 7), false);
  const at = cache.place(1, 7);
  t.equal(cache.has(1, 7), false, 'a reserved block');
  cache.keep(1, 7, 100);
  t.equal(cache.find(1, 7, 100), at);
  t.equal(cache.find(1, 7, 101), -1);
  t.equal(cache.has(1, 7), true);
  t.equal(cache.has(2, 7), false, 'the block of another file');
  cache.place(1, 7);
  cache.keep(1, 7, SIZE);
  t.equal(cache.find(1, 7, SIZE), at, 'decoded again, whole');
  t.end();
});

await test('same results as a model: no wrong block, no wrong place', (t) => {
  const cache = new BlockCache(SIZE);
  const places = new Map<number, string>();
  const next = seededRandom(3);
  let found = 0;
  for (let i = 0; i < 50_000; i++) {
    const owner = 1 + (next() % 3);
    const block = (next() % 40) + (next() % 2) * 999_999_900;
    const name = `${owner}/${block}`;
    const at = cache.find(owner, block, SIZE);
    if (at >= 0) {
      found++;
      if (places.get(at) !== name) t.fail(`${name} found where ${places.get(at)} is`);
      continue;
    }
    const place = cache.place(owner, block);
    if (place % SIZE !== 0 || place < 0 || place + SIZE > cache.bytes.length) t.fail(`${place}`);
    places.set(place, name);
    if (next() % 4 > 0) cache.keep(owner, block, SIZE);
    else places.delete(place);
  }
  t.ok(found > 1000, `${found} found`);
  t.end();
});

await test('neighbouring blocks are nearly always adjacent in the cache', (t) => {
  const cache = new BlockCache(SIZE);
  let together = 0;
  for (let block = 0; block < 6400; block++) {
    if (cache.place(1, block + 1) === cache.place(1, block) + SIZE) together++;
  }
  t.ok(together > 6100, `${together} of 6400 pairs`);
  t.end();
});

await test('four streams at distances of a power of two do not evict each other', (t) => {
  for (const apart of [64, 4096, 32_768, 1 << 20]) {
    const cache = new BlockCache(SIZE);
    let lost = 0;
    for (let i = 0; i < 1000; i++) {
      for (let stream = 0; stream < 4; stream++) {
        cache.place(1, stream * apart + i);
        cache.keep(1, stream * apart + i, SIZE);
      }
      for (let stream = 0; stream < 4; stream++) {
        if (cache.find(1, stream * apart + i, SIZE) < 0) lost++;
      }
    }
    t.ok(lost < 400, `${apart} apart: ${lost} of 4000 lost`);
  }
  t.end();
});
