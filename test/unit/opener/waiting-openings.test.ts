// The queue of openings that wait for a thread: its order, and what becomes of one that is not wanted any more.
import { MessageChannel } from 'node:worker_threads';
import { once } from 'node:events';
import t from 'tap';
import { notWanted, WaitingOpenings } from '../../../daemon/opener/waiting-openings.js';

function opening(): { request: { fetcher: null }; errors: Error[]; reject(error: Error): void } {
  const errors: Error[] = [];
  return { request: { fetcher: null }, errors, reject: (error) => void errors.push(error) };
}

await t.test('they begin in the order in which they came, or out of it', (test) => {
  const waiting = new WaitingOpenings<ReturnType<typeof opening>>();
  const [a, b, c] = [opening(), opening(), opening()];
  for (const each of [a, b, c]) waiting.add(each);
  test.same([...waiting], [a, b, c]);
  test.ok(waiting.take(b));
  test.notOk(waiting.take(b), 'once');
  test.equal(waiting.length, 2);
  test.equal(waiting.next(), a);
  test.equal(waiting.next(), c);
  test.equal(waiting.next(), null);
  test.end();
});

await t.test('a stop refuses all that wait', (test) => {
  const waiting = new WaitingOpenings<ReturnType<typeof opening>>();
  const all = [opening(), opening(), opening()];
  for (const each of all) waiting.add(each);
  waiting.refuseAll(new Error('stopping'));
  for (const { errors } of all) test.match(errors, [{ message: 'stopping' }]);
  test.equal(waiting.length, 0);
  test.end();
});

await t.test('one that is refused hears of it once, and its line is closed', async (test) => {
  const { port1: port, port2: fetcher } = new MessageChannel();
  const errors: Error[] = [];
  const one = {
    request: { fetcher: { port, platform: null, pull: 'missing' } as const },
    reject: (error: Error) => void errors.push(error),
  };
  const waiting = new WaitingOpenings<typeof one>();
  waiting.add(one);
  fetcher.ref();
  const closed = once(fetcher, 'close');
  test.ok(waiting.refuse(one, notWanted()));
  test.notOk(waiting.refuse(one, notWanted()));
  test.match(errors, [{ code: 'BUSY', message: 'the opening was cancelled' }]);
  test.equal(errors.length, 1);
  test.equal(waiting.length, 0);
  await closed;
});
