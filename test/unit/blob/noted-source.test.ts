// Which chunks of a blob an opening has asked for.
import { test } from 'tap';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import { NotedSource } from '../../../daemon/blob/noted-source.js';
import { readFully } from '../../../daemon/blob/source.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes } from '../../support/pattern.js';

await test('what is read is noted, and nothing else', async (t) => {
  const bytes = randomBytes(1, 2000 * 100);
  const source = new NotedSource(new MemorySource(bytes));
  t.same(source.runs(), []);
  t.same(await readFully(source, 5, 10), bytes.subarray(5, 15));
  await readFully(source, bytes.length - 1, 1);
  await readFully(source, CHUNK_SIZE - 1, 2);
  t.same(source.runs(), [
    [0, 1],
    [3, 3],
  ]);
  source.forget();
  t.same(source.runs(), []);
  await readFully(source, 0, 0);
  await t.rejects(readFully(source, bytes.length, 1), { code: 'SHORT_READ' });
  t.same(source.runs(), []);
});

await test('of a large table the first part is noted', async (t) => {
  const size = 2000 * CHUNK_SIZE;
  const inner = {
    name: 'blob',
    size,
    isLocal: false,
    ensure: () => null,
    read: () => true,
    load: () => Promise.resolve(),
    prefetch: () => Promise.resolve(),
  };
  const source = new NotedSource(inner);
  await source.ensure(0, size);
  t.same(source.runs(), [[0, 1023]]);
  t.equal(source.distrust(0, 1), false);
  t.end();
});
