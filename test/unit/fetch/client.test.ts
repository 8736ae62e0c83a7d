// A thread's side of the fetcher, against ports that a test answers. With a thread: fetcher.test.ts.
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { FetchClient } from '../../../daemon/fetch/client.js';
import { ANSWER_MARGIN_MS, MAX_DEATHS } from '../../../daemon/fetch/limits.js';
import type { Answer, Ask, FromClient, ReadAsk, ToClient } from '../../../daemon/fetch/messages.js';
import { FakeBlob, FakeClock } from '../../support/fetch-fakes.js';

function setup(test: { teardown(end: () => void): void }, deadlineMs = 20_000) {
  const clock = new FakeClock();
  const { port1: control, port2 } = new MessageChannel();
  const wakes: FromClient[] = [];
  control.on('message', (message: FromClient) => wakes.push(message));
  const client = new FetchClient(port2, clock);
  test.teardown(() => client.shut());
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) {
      await turn();
      await clock.settle();
    }
  };
  /** A fetcher: its port, and the messages that come. */
  const connect = async (): Promise<{ port: MessagePort; messages: Ask[][] }> => {
    const { port1: port, port2: other } = new MessageChannel();
    const messages: Ask[][] = [];
    port.on('message', (asks: Ask[]) => messages.push(asks));
    control.postMessage({ type: 'port', port: other, deadlineMs } satisfies ToClient, [other]);
    await settle();
    return { port, messages };
  };
  const answer = async (port: MessagePort, ...answers: Answer[]): Promise<void> => {
    port.postMessage(answers);
    await settle();
  };
  return { clock, control, client, wakes, connect, answer, settle };
}

const idsOf = (asks: readonly Ask[] = []): number[] =>
  asks.flatMap((ask) => ('id' in ask ? [ask.id] : []));

await t.test(
  'wakes the fetcher once, and asks when it is there, in one message a turn',
  async (test) => {
    const { client, wakes, connect, answer, settle } = setup(test);
    const reads = [client.want(1, 0, 3), client.want(1, 4, 4), client.want(2, 0, 0)];
    client.hint(1, 9, 9);
    await settle();
    test.same(wakes, [{ type: 'wake' }]);
    const { port, messages } = await connect();
    test.match(messages, [
      [{ type: 'holds', blobs: [] }, ...Array.from(reads, () => ({ type: 'want' }))],
    ]);
    const later = client.want(1, 5, 5);
    client.hint(1, 9, 9);
    await settle();
    test.match(messages[1], [
      { type: 'want', first: 5 },
      { type: 'hint', first: 9 },
    ]);
    await answer(port, ...idsOf(messages.flat()).map((id) => ({ id, value: null })));
    await Promise.all([...reads, later]);
    test.equal(client.waiting, 0);
    test.equal(wakes.length, 1);
  },
);

await t.test('errors arrive with code and facts; what is not known is ignored', async (test) => {
  const { client, connect, answer, settle } = setup(test);
  const { port, messages } = await connect();
  const failed = test.rejects(client.want(1, 0, 0), { code: 'AUTH', facts: { status: 401 } });
  await settle();
  const [id = 0] = idsOf(messages.flat());
  await answer(port, { id: 999, value: null });
  const error = { code: 'AUTH', message: 'no', facts: { status: 401 } } as const;
  await answer(port, { id, error }, { id, value: null });
  await failed;
});

await t.test('a fetcher that does not answer fails reads at their deadline', async (test) => {
  const { client, clock, connect, settle } = setup(test, 3000);
  const { messages } = await connect();
  const fake = new FakeBlob(1000);
  client.adopted({ ...fake.spec, blob: 1 });
  let failed = 0;
  const read = client.want(1, 0, 0).catch((error: unknown) => {
    failed++;
    test.match(error, { code: 'REMOTE', message: /chunks 0 to 0 did not come within 3 s/ });
  });
  await clock.pass(2900);
  test.equal(failed, 0);
  await clock.pass(100);
  await read;
  test.equal(failed, 1);
  test.equal(clock.timers, 0);
  await settle();
  const [ask] = messages.flat().filter((each): each is ReadAsk => each.type === 'want');
  test.ok(ask);
});

await t.test('what waits here for room fails in time, too', async (test) => {
  const { client, clock, connect } = setup(test, 3000);
  const { messages } = await connect();
  const results = await (async () => {
    const reads = Array.from({ length: 100 }, (_, i) => client.want(1, i * 100, i * 100 + 99));
    const settled = Promise.allSettled(reads);
    await clock.pass(3000);
    return settled;
  })();
  test.ok(results.every(({ status }) => status === 'rejected'));
  const chunks = messages
    .flat()
    .filter((each): each is ReadAsk => each.type === 'want')
    .reduce((sum, { first, last }) => sum + last - first + 1, 0);
  test.ok(chunks <= 4096, `${chunks} chunks were asked for`);
});

await t.test(
  'after the death of a fetcher, the next one is asked, and told what is open',
  async (test) => {
    const { client, connect, answer, settle, wakes } = setup(test);
    const first = await connect();
    client.adopted({ ...new FakeBlob(1000).spec, blob: 5 });
    const read = client.want(5, 1, 2);
    const question = client.status();
    await settle();
    first.port.close();
    await settle();
    test.equal(wakes.length, 1, 'the main thread hears that it is needed');
    const second = await connect();
    test.match(second.messages.flat(), [
      { type: 'holds', blobs: [5] },
      { type: 'want', blob: 5, first: 1, last: 2 },
      { type: 'status' },
    ]);
    const ids = idsOf(second.messages.flat());
    await answer(second.port, ...ids.map((id) => ({ id, value: null })));
    await Promise.all([read, question]);
  },
);

await t.test('progress keeps a question alive', async (test) => {
  const { client, clock, connect, answer, settle } = setup(test);
  const { port, messages } = await connect();
  const told: number[] = [];
  const warm = client.warm([], ({ bytes }) => told.push(bytes));
  await settle();
  const [id = 0] = idsOf(messages.flat());
  for (let i = 0; i < 5; i++) {
    await clock.pass(100_000);
    await answer(port, { id, progress: { bytes: i, total: 9, cached: 0 } });
  }
  const last = { bytes: 9, total: 9, cached: 0 };
  await answer(port, { id, value: last });
  test.same(await warm, last);
  test.same(told, [0, 1, 2, 3, 4]);
  const silent = test.rejects(client.status(), { code: 'IO', message: /status: .* 120 s/ });
  await clock.pass(120_000);
  await silent;
});

await t.test('when the main thread closes the line, all fails', async (test) => {
  const { client, control, connect, settle } = setup(test);
  await connect();
  const read = test.rejects(client.want(1, 0, 0), { code: 'BUSY' });
  control.close();
  await settle();
  await read;
  await test.rejects(client.status(), { code: 'BUSY' });
});

await t.test('the fetcher has a little less time than the reader, to say why', async (test) => {
  for (const [deadlineMs, margin] of [
    [20_000, ANSWER_MARGIN_MS],
    [400, 100],
  ] as const) {
    const { client, clock, connect, settle } = setup(test, deadlineMs);
    const { messages } = await connect();
    const end = clock.now() + deadlineMs;
    const read = client.want(1, 0, 0).catch(() => undefined);
    await settle();
    const [ask] = messages.flat().filter((each): each is ReadAsk => each.type === 'want');
    test.equal(ask?.deadline, end - margin);
    client.shut();
    await read;
  }
});

await t.test('a question that three fetchers did not survive is refused', async (test) => {
  const { client, connect, settle } = setup(test);
  const state = { text: 'waiting' };
  const read = client.want(5, 1, 2).catch((error: unknown) => {
    state.text = String(error);
  });
  for (let deaths = 1; deaths <= MAX_DEATHS + 1; deaths++) {
    const { port, messages } = await connect();
    test.match(messages.flat().at(-1), { type: 'want', blob: 5 }, `fetcher ${deaths} is asked`);
    test.equal(state.text, 'waiting');
    port.close();
    await settle();
  }
  await read;
  test.match(state.text, 'the fetcher ended 3 times while it had this request');
});
