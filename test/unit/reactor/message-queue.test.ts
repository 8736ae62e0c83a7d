// The order of messages when taking one of them has to wait.
import { test } from 'tap';
import { MessageQueue } from '../../../daemon/reactor/message-queue.js';

await test('messages are taken at once, and in order', async (t) => {
  const taken: string[] = [];
  const ends = new Map<string, () => void>();
  const takeLater = async (message: string): Promise<void> => {
    await new Promise<void>((resolve) => ends.set(message, resolve));
    taken.push(message);
  };
  const queue = new MessageQueue<string>((message) => {
    if (message.startsWith('wait')) return takeLater(message);
    taken.push(message);
    return null;
  });
  queue.add('a');
  t.same(taken, ['a']);
  for (const each of ['wait 1', 'b', 'wait 2', 'c']) queue.add(each);
  t.same(taken, ['a']);
  ends.get('wait 1')?.();
  await new Promise(setImmediate);
  t.same(taken, ['a', 'wait 1', 'b']);
  queue.add('d');
  t.same(taken, ['a', 'wait 1', 'b']);
  ends.get('wait 2')?.();
  await new Promise(setImmediate);
  t.same(taken, ['a', 'wait 1', 'b', 'wait 2', 'c', 'd']);
  queue.add('e');
  t.equal(taken.at(-1), 'e');
});
