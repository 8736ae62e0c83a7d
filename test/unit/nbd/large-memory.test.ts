// The budget of memory for replies to long reads; its effect on clients is tested in simple-shape.test.ts.
import t from 'tap';
import { LargeMemory } from '../../../daemon/nbd/large-memory.js';
import { MAX_LARGE_BYTES } from '../../../daemon/nbd/limits.js';
import type { SendBuffer } from '../../../daemon/nbd/outbox.js';

const user = { stalledSince: () => null, evict: () => undefined };

await t.test('released memory is returned to the system, once', async (test) => {
  const released: Buffer[] = [];
  const memory = new LargeMemory((bytes) => released.push(bytes), 8192);
  const buffer = await memory.acquire(4096, user);
  test.equal(buffer.bytes.length, 4096);
  test.same(released, []);
  buffer.release?.(buffer);
  buffer.release?.(buffer);
  test.equal(released.length, 1);
  test.equal(released[0], buffer.bytes);
});

await t.test('requests for memory are granted in order, up to the limit', async (test) => {
  const memory = new LargeMemory(undefined, 1000);
  const given: [string, SendBuffer][] = [];
  const ask = (name: string, size: number): void => {
    void memory.acquire(size, user).then((buffer) => given.push([name, buffer]));
  };
  const names = async (): Promise<string[]> => {
    await new Promise(setImmediate);
    return given.map(([name]) => name);
  };
  ask('a', 600);
  ask('b', 500);
  ask('c', 100);
  test.same(await names(), ['a'], 'c does not overtake b');
  const [, first] = given[0] as [string, SendBuffer];
  first.release?.(first);
  test.same(await names(), ['a', 'b', 'c']);
});

await t.test('a thread has memory for four of the longest replies', async (test) => {
  const memory = new LargeMemory();
  let given = 0;
  // The pages are never touched.
  for (let i = 0; i < 5; i++) void memory.acquire(MAX_LARGE_BYTES / 4, user).then(() => given++);
  await new Promise(setImmediate);
  test.equal(given, 4);
  memory.forget(user);
});
