// How much a thread asks of the fetcher, and in which order the rest follows.
import t from 'tap';
import { AskWindow } from '../../../daemon/fetch/ask-window.js';
import { MAX_ASKED_CHUNKS } from '../../../daemon/fetch/limits.js';
import type { ReadAsk } from '../../../daemon/fetch/messages.js';

let nextId = 1;
const ask = (blob: number, chunks = 1): ReadAsk => {
  return { type: 'want', id: nextId++, blob, first: 0, last: chunks - 1, deadline: 0 };
};

await t.test('a blob without answers leaves room for others', (test) => {
  const window = new AskWindow(64);
  const posted: ReadAsk[] = [];
  const post = (each: ReadAsk): void => void posted.push(each);
  for (let i = 0; i < 1000; i++) window.add(ask(1), post);
  test.equal(posted.length, 32, 'half');
  for (let i = 0; i < 1000; i++) window.add(ask(2), post);
  test.equal(posted.length, 48, 'half of what is left');
  for (let blob = 3; blob < 100; blob++) window.add(ask(blob), post);
  test.equal(posted.length, 48 + 97, 'one for each blob in any case');
  test.end();
});

await t.test('answers let those follow that wait, in their order, and each once', (test) => {
  const window = new AskWindow(16);
  const posted: ReadAsk[] = [];
  const post = (each: ReadAsk): void => void posted.push(each);
  const asks = Array.from({ length: 100 }, () => ask(1));
  for (const each of asks) window.add(each, post);
  const given = asks[50];
  if (!given) throw new Error('none');
  test.ok(window.isWaiting(given.id));
  window.remove(given);
  window.fill(post);
  test.notOk(window.isWaiting(given.id));
  for (let i = 0; i < posted.length; i++) {
    const each = posted[i];
    if (each) window.remove(each);
    window.fill(post);
  }
  test.same(
    posted,
    asks.filter((each) => each !== given),
  );
  window.add(ask(1, 500), post);
  test.equal(posted.length, 100, 'a read that is longer than the limit, alone');
  test.end();
});

await t.test('what one blob frees is for others, too', (test) => {
  const window = new AskWindow(4);
  const posted: number[] = [];
  const post = ({ blob }: ReadAsk): void => void posted.push(blob);
  const first = [ask(1), ask(1)];
  for (const each of [...first, ask(2), ask(2), ask(2)]) window.add(each, post);
  test.same(posted, [1, 1, 2]);
  for (const each of first) window.remove(each);
  window.fill(post);
  test.same(posted, [1, 1, 2, 2], 'blob 2 had no answer, and goes on');
  window.clear();
  window.add(ask(3), post);
  test.same(posted.at(-1), 3);
  test.end();
});

await t.test('a thread asks for 4096 chunks at most, if it says nothing else', (test) => {
  const window = new AskWindow();
  let posted = 0;
  for (let i = 0; i < 10_000; i++) window.add(ask(1), () => posted++);
  test.equal(posted, MAX_ASKED_CHUNKS / 2, 'half, for a blob that is alone');
  test.equal(MAX_ASKED_CHUNKS, 4096);
  test.end();
});
