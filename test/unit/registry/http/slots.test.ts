// Places for requests: their number, their order, and giving up.
import { test } from 'tap';
import { Slots } from '../../../../daemon/registry/http/slots.js';

const { signal: never } = new AbortController();

await test('as many as there are places, then in order, then no more', async (t) => {
  const slots = new Slots(2, 2);
  const [a, b] = [await slots.take(never), await slots.take(never)];
  const order: string[] = [];
  const take = async (name: string): Promise<() => void> => {
    const release = await slots.take(never);
    order.push(name);
    return release;
  };
  const c = take('c');
  const d = take('d');
  await t.rejects(slots.take(never), RangeError);
  b();
  b();
  (await c)();
  (await d)();
  t.same(order, ['c', 'd']);
  a();
  const again = [await slots.take(never), await slots.take(never)];
  t.equal(again.length, 2, 'giving back twice makes no place');
  await t.rejects(Promise.race([slots.take(never), Promise.reject(new Error('waits'))]), /waits/);
});

await test('a request that gives up leaves the queue', async (t) => {
  const slots = new Slots(1, 10);
  const release = await slots.take(never);
  const abort = new AbortController();
  const gone = slots.take(abort.signal);
  const stays = slots.take(never);
  abort.abort(new Error('gone'));
  await t.rejects(gone, /gone/);
  await t.rejects(slots.take(abort.signal), /gone/);
  release();
  (await stays)();
  (await slots.take(never))();
});
