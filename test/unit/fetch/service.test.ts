// The fetcher as its clients see it: what is done for each question, and how answers travel.
import { MessageChannel } from 'node:worker_threads';
import t from 'tap';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import type { Answer, Ask, FromFetcher } from '../../../daemon/fetch/messages.js';
import { FetchService } from '../../../daemon/fetch/service.js';
import { FakeBlob, scheduled } from '../../support/fetch-fakes.js';

const MIB = 1 << 20;

function setup(test: { teardown(end: () => void): void }, ...fakes: FakeBlob[]) {
  const parts = scheduled(...fakes);
  const { scheduler, client, clock } = parts;
  const told: FromFetcher[] = [];
  const service = new FetchService({
    store: {
      blob: (ref) => {
        const fake = fakes.find((each) => each.ref.digest === ref.digest);
        return fake ? Promise.resolve(fake) : Promise.reject(new Error('none'));
      },
    },
    scheduler,
    client,
    clock,
    tell: (message) => told.push(message),
    answer: (_question, progress) => {
      progress({ bytes: 1, total: 2, cached: 0 });
      return Promise.resolve({ bytes: 2, total: 2, cached: 0 });
    },
    wanted: () => undefined,
    mayFetchAhead: () => true,
    opened: () => undefined,
    closing: () => undefined,
  });
  const messages: Answer[][] = [];
  const { port1, port2 } = new MessageChannel();
  service.connect(1, port1);
  port2.on('message', (answers: Answer[]) => messages.push(answers));
  test.teardown(() => port2.close());
  /** Posts the questions in one message, and gives time for what they cause. */
  const ask = async (...asks: Ask[]): Promise<void> => {
    port2.postMessage(asks);
    await settled(clock);
  };
  const read = (
    id: number,
    blob: FakeBlob,
    first: number,
    last = first,
    type: 'want' | 'refetch' = 'want',
  ) =>
    ({
      type,
      id,
      blob: blob.spec.blob,
      first,
      last,
      deadline: clock.now() + 20_000,
    }) as const;
  return { ...parts, service, told, messages, ask, read, port: port2 };
}

/** Messages need turns of the event loop; nothing here waits for a clock. */
async function settled(clock: { settle(): Promise<number> }): Promise<void> {
  for (let i = 0; i < 5; i++) await clock.settle();
}

await t.test('answers of a turn travel in one message', async (test) => {
  const fake = new FakeBlob(8 * MIB);
  const { ask, read, client, messages, told } = setup(test, fake);
  client.prompt.add(fake.ref.host);
  await ask({ type: 'open', id: 1, ref: fake.ref });
  test.match(messages, [[{ id: 1, value: { blob: fake.spec.blob, digest: fake.spec.digest } }]]);
  test.match(told, [{ type: 'opened', connection: 1, ref: fake.ref }]);
  await ask(...[2, 3, 4, 5].map((id) => read(id, fake, id, id + 1)));
  test.same(
    messages.slice(1).map((answers) => answers.map(({ id }) => id)),
    [[2, 3, 4, 5]],
  );
});

await t.test('wrong questions are errors, and end nothing', async (test) => {
  const fake = new FakeBlob(MIB);
  const { ask, read, client, messages } = setup(test, fake);
  client.prompt.add(fake.ref.host);
  await ask({ type: 'open', id: 1, ref: fake.ref });
  for (const [first, last] of [
    [0, 16],
    [-1, 0],
    [3, 2],
    [0.5, 1],
    [NaN, 1],
  ] as const) {
    await ask(read(2, fake, first, last));
    test.match(messages.at(-1), [{ id: 2, error: { code: 'IO', message: /there are no chunks/ } }]);
  }
  await ask(read(3, new FakeBlob(MIB), 0));
  test.match(messages.at(-1), [{ id: 3, error: { code: 'IO', message: /is not open/ } }]);
  await ask({ type: 'hint', blob: fake.spec.blob, first: 10, last: 99 });
  await ask({ type: 'open', id: 4, ref: { ...fake.ref, digest: 'sha256:other' } });
  test.match(messages.at(-1), [{ id: 4, error: { code: 'BUG' } }]);
  await ask(read(5, fake, 0));
  test.match(messages.at(-1), [{ id: 5, value: null }]);
});

await t.test(
  'sequential reads have the next windows fetched, a bounded number of chunks',
  async (test) => {
    const fake = new FakeBlob(64 * MIB);
    const { ask, read, client } = setup(test, fake);
    await ask({ type: 'open', id: 1, ref: fake.ref });
    await ask(read(2, fake, 100), read(3, fake, 101));
    test.match(
      client.requests,
      [{ class: 'demand', first: 100 * 65536, last: 104 * 65536 - 1 }],
      'with the read, in one request',
    );
    for (const each of client.open.slice()) each.answer();
    await ask();
    test.ok(fake.map.hasAll(100, 103));
    test.equal(fake.map.takeMark(0, 1000), 102);
    await ask({ type: 'hint', blob: fake.spec.blob, first: 102, last: 102 });
    test.equal(fake.map.takeMark(0, 1000), 104);
    const hints = Array.from({ length: 20 }, (_, i): Ask => {
      return { type: 'hint', blob: fake.spec.blob, first: 200 + 40 * i, last: 239 + 40 * i };
    });
    const before = client.bytes;
    await ask(...hints);
    while (client.open.length > 0) {
      client.open[0]?.answer();
      await ask();
    }
    test.ok(client.bytes - before <= 17 * MIB, `${client.bytes - before} bytes for 50 MB of hints`);
  },
);

await t.test('where much is there, a read has the rest of the region fetched', async (test) => {
  const fake = new FakeBlob(64 * MIB);
  const { ask, read, client } = setup(test, fake);
  await ask({ type: 'open', id: 1, ref: fake.ref });
  await ask(read(2, fake, 322));
  test.match(client.requests, [{ class: 'demand', first: 322 * 65536, last: 323 * 65536 - 1 }]);
  await ask(read(3, fake, 320));
  for (const each of client.open.slice()) each.answer();
  await ask();
  for (const each of client.open.slice()) each.answer();
  await ask();
  test.ok(fake.map.hasAll(320, 323), 'forwards and backwards');
  test.equal(client.bytes, 4 * 65536, 'each once, and no more');
});

await t.test('wrong bytes are dropped and fetched once from the registry itself', async (test) => {
  const fake = new FakeBlob(MIB);
  const { ask, read, client, messages, clock } = setup(test, fake);
  client.prompt.add(fake.ref.host);
  await ask({ type: 'open', id: 1, ref: fake.ref });
  await ask(read(2, fake, 0, 3));
  await ask(read(3, fake, 1, 2, 'refetch'), read(4, fake, 2, 2, 'refetch'));
  test.equal(fake.drops, 2);
  test.match(client.requests.slice(1), [{ first: 65536, fromOrigin: true }]);
  test.match(messages.at(-1), [{ value: null }, { value: null }]);
  await ask(read(5, fake, 1, 1, 'refetch'));
  test.match(messages.at(-1), [{ id: 5, value: null }], 'its reader may have read before');
  await clock.pass(2000);
  await ask(read(6, fake, 1, 1, 'refetch'));
  test.match(messages.at(-1), [
    { id: 6, error: { code: 'BAD_CHECKSUM', facts: { range: '65536-131071' } } },
  ]);
  test.equal(client.requests.length, 2);
  await clock.pass(60_000);
  await ask(read(7, fake, 1, 1, 'refetch'));
  test.equal(client.requests.length, 3, 'after a minute once more');
});

await t.test('a chunk that is refused keeps no other from being fetched again', async (test) => {
  const fake = new FakeBlob(MIB);
  const { ask, read, client, messages, clock, ranges } = setup(test, fake);
  client.prompt.add(fake.ref.host);
  await ask({ type: 'open', id: 1, ref: fake.ref });
  await ask(read(2, fake, 0, 3));
  await ask(read(3, fake, 1, 1, 'refetch'));
  await clock.pass(2000);
  await ask(read(4, fake, 0, 2, 'refetch'));
  test.match(messages.at(-1), [{ id: 4, value: null }]);
  test.same(ranges().slice(-2), [
    [0, 0],
    [2, 2],
  ]);
  test.ok(fake.map.hasAll(0, 3), 'what was dropped was fetched');
});

await t.test('what a failed opening has read is fetched again', async (test) => {
  const fake = new FakeBlob(MIB);
  const { ask, read, client, messages, service, clock } = setup(test, fake);
  client.prompt.add(fake.ref.host);
  await ask({ type: 'open', id: 1, ref: fake.ref });
  await ask(read(2, fake, 0, 3));
  const doubt = (id: number, first: number, last: number): Ask => ({
    type: 'doubt',
    id,
    blob: fake.spec.blob,
    runs: [[first, last]],
    deadline: clock.now() + 20_000,
  });
  await ask(doubt(3, 1, 2));
  test.match(messages.at(-1), [{ id: 3, value: true }]);
  test.equal(service.refetched, 2);
  await ask(doubt(4, 1, 99));
  test.match(messages.at(-1), [{ id: 4, error: { code: 'IO', message: /there are no chunks/ } }]);
});

await t.test('a mirror is not asked again for what it may have had wrong', async (test) => {
  const fake = new FakeBlob(MIB);
  const { ask, read, client, clock } = setup(test, fake);
  client.prompt.add(fake.ref.host);
  const { blob } = fake.spec;
  const runs = [[1, 2]] as const;
  await ask({ type: 'open', id: 1, ref: fake.ref });
  await ask(read(2, fake, 0, 3));
  await ask({ type: 'doubt', id: 3, blob, runs, deadline: clock.now() + 20_000 });
  // Both are evicted, the blob is closed, and it is opened again.
  fake.map.clear(1, 3);
  await ask({ type: 'close', blob });
  await ask({ type: 'open', id: 4, ref: fake.ref });
  await clock.pass(120_000);
  const asked = (): { first: number; fromOrigin: boolean }[] =>
    client.requests.map(({ first, fromOrigin }) => ({ first: first / 65536, fromOrigin }));
  const { length } = client.requests;
  await ask(read(5, fake, 1, 3));
  test.same(asked().slice(length), [
    { first: 1, fromOrigin: true },
    { first: 3, fromOrigin: false },
  ]);
  // Another process brings one of them: from where is not known.
  const bring = async (): Promise<void> => {
    fake.map.clear(1, 1);
    fake.claims.delete(1);
    fake.foreign.add(1);
    const reading = ask(read(6, fake, 1, 1));
    await clock.pass(50);
    fake.foreign.clear();
    fake.claims.add(1);
    await clock.pass(50);
    await reading;
    await ask({ type: 'doubt', id: 7, blob, runs, deadline: clock.now() + 20_000 });
  };
  await bring();
  test.same(asked().at(-1), { first: 1, fromOrigin: true }, 'it is doubted once more');
  test.equal(fake.drops, 3);
  await clock.pass(120_000);
  await bring();
  test.equal(fake.drops, 3, 'the other one may do the same: not without end');
  await clock.pass(3_600_000);
  fake.map.clear(2, 2);
  const before = client.requests.length;
  await ask(read(8, fake, 2));
  test.same(asked()[before], { first: 2, fromOrigin: false }, 'after an hour');
});

await t.test(
  'the digests of chunks are those of the blob, and the next fetcher has them',
  async (test) => {
    const fake = new FakeBlob(3 * CHUNK_SIZE);
    const { ask, messages, told } = setup(test, fake);
    await ask({ type: 'open', id: 1, ref: fake.ref });
    const { blob } = fake.spec;
    const { bytes: digests } = fake.chunkDigests();
    await ask({ type: 'digests', id: 2, blob, digests, generation: 7 });
    test.match(messages.at(-1), [{ id: 2, value: null }]);
    test.same(fake.digests?.bytes, digests);
    test.equal(fake.generation, 7);
    test.match(told.at(-1), { type: 'digests', blob });
    const short = new Uint8Array(new SharedArrayBuffer(32));
    await ask({ type: 'digests', id: 3, blob, digests: short, generation: null });
    test.match(messages.at(-1), [
      { id: 3, error: { code: 'IO', message: /expected 48 bytes, got 32 bytes/ } },
    ]);
  },
);

await t.test('progress comes before the answer', async (test) => {
  const { ask, messages } = setup(test);
  await ask({ type: 'warm', id: 1, blobs: [] });
  test.same(messages.flat(), [
    { id: 1, progress: { bytes: 1, total: 2, cached: 0 } },
    { id: 1, value: { bytes: 2, total: 2, cached: 0 } },
  ]);
});

await t.test(
  'what a thread does not hold any more is closed, and all of it at its end',
  async (test) => {
    const [one, two] = [new FakeBlob(MIB), new FakeBlob(MIB)];
    const { ask, service } = setup(test, one, two);
    await ask({ type: 'open', id: 1, ref: one.ref }, { type: 'open', id: 2, ref: two.ref });
    await ask({ type: 'holds', blobs: [two.spec.blob] });
    test.same([one.releases, two.releases], [1, 0]);
    await service.gone(1);
    test.equal(two.releases, 1);
  },
);
