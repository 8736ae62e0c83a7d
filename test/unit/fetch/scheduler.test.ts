// Which chunks are fetched, when, and who waits for them. Classes and fairness: host-queue.test.ts.
import t from 'tap';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import { ANSWER_MARGIN_MS } from '../../../daemon/fetch/limits.js';
import type { FetchBlob } from '../../../daemon/fetch/fetch-blob.js';
import { FakeBlob, remoteError, scheduled } from '../../support/fetch-fakes.js';

const MIB = 1 << 20;

await t.test(
  'a chunk that several want is fetched once, and each that comes is kept',
  async (test) => {
    const fake = new FakeBlob(4 * MIB);
    const { clock, client, opened, want, ranges } = scheduled(fake);
    const [blob] = opened;
    const all = [want(blob, 3, 6), want(blob, 5), want(blob, 6, 8), want(blob, 20)];
    await clock.settle();
    test.same(ranges(), [
      [3, 8],
      [20, 20],
    ]);
    const later = want(blob, 4);
    await clock.settle();
    client.open[0]?.send(3.5 * CHUNK_SIZE);
    await clock.settle();
    test.same(all, [[], [null], [], []]);
    test.same(later, [null], 'joined what was on its way');
    client.open[0]?.answer();
    client.open[0]?.answer();
    await clock.settle();
    test.same(all, [[null], [null], [null], [null]]);
    test.equal(client.bytes, 7 * CHUNK_SIZE, 'no byte twice');
    test.same(want(blob, 3, 8), [null], 'at once');
    test.ok(
      fake.kept
        .subarray(3 * CHUNK_SIZE, 9 * CHUNK_SIZE)
        .equals(fake.data.subarray(3 * CHUNK_SIZE, 9 * CHUNK_SIZE)),
    );
    test.equal(clock.timers, 0);
  },
);

await t.test('what the cache has needs no registry, also if it is dead', async (test) => {
  const fake = new FakeBlob(4 * MIB);
  const { clock, client, opened, want } = scheduled(fake);
  for (let chunk = 0; chunk < 8; chunk++) fake.claims.add(chunk);
  const many = Array.from({ length: 40 }, (_, i) => want(opened[0], 8 + 2 * (i % 20)));
  await clock.settle();
  test.ok(client.open.length > 4, 'the registry is busy');
  const there = want(opened[0], 0, 7);
  await clock.settle();
  test.same(there, [null]);
  test.ok(many.every((each) => each.length === 0));
});

await t.test(
  'a long read is several requests of a MiB at most, and the last chunk is short',
  async (test) => {
    const fake = new FakeBlob(2 * MIB + 1000);
    const { clock, client, opened, want } = scheduled(fake);
    const read = want(opened[0], 0, 32);
    await clock.settle();
    test.same(
      client.requests.map(({ first, last }) => last - first + 1),
      [MIB, MIB, 1000],
    );
    for (const each of client.open.slice()) each.answer();
    await clock.settle();
    test.same(read, [null]);
    test.ok(fake.kept.equals(fake.data));
  },
);

await t.test('each read fails at its own deadline, and not later; others wait on', async (test) => {
  const fake = new FakeBlob(4 * MIB);
  const { clock, client, opened, want } = scheduled(fake);
  const [blob] = opened;
  const first = want(blob, 0, 0, 'demand', 1000);
  await clock.pass(500);
  const second = want(blob, 0, 3, 'demand', 1000);
  await clock.pass(400);
  test.same([first, second], [[], []]);
  await clock.pass(100);
  test.match(first, [
    { code: 'REMOTE', message: /bytes 0-65535 did not come from registry.example/ },
  ]);
  test.match((first[0] as OverlaybdError).facts, { range: '0-65535', failure: 'late' });
  test.same(second, []);
  // The client gives up in time for the first read; the second still has time.
  client.open[0]?.fail(remoteError());
  await clock.settle();
  test.same(second, []);
  for (const each of client.open.slice()) each.answer();
  await clock.settle();
  test.same(second, [null]);
});

await t.test('a drip ends at the deadline, and what came whole stays', async (test) => {
  const fake = new FakeBlob(4 * MIB);
  const { clock, client, opened, want } = scheduled(fake);
  const read = want(opened[0], 0, 3);
  await clock.settle();
  const [drip] = client.open;
  for (let second = 0; second < 20; second++) {
    drip?.send(8000);
    await clock.pass(1000);
  }
  test.match(read, [{ code: 'REMOTE' }]);
  test.ok(fake.map.hasAll(0, 1));
  // The client ignores its deadline: the transfer ends all the same, and its chunks can be fetched again.
  await clock.pass(1000);
  test.equal(drip?.signal.aborted, true);
  drip?.send(8000);
  const again = want(opened[0], 0, 3);
  await clock.settle();
  client.open.at(-1)?.answer();
  await clock.settle();
  test.same(again, [null]);
  test.equal(client.requests.at(-1)?.first, 2 * CHUNK_SIZE, 'only the rest');
  test.ok(fake.kept.subarray(0, 4 * CHUNK_SIZE).equals(fake.data.subarray(0, 4 * CHUNK_SIZE)));
});

await t.test(
  'a failure reaches all who waited, with its code; the next read tries again',
  async (test) => {
    const fake = new FakeBlob(4 * MIB);
    const { clock, client, opened, want } = scheduled(fake);
    const reads = [want(opened[0], 0, 3), want(opened[0], 2)];
    await clock.settle();
    client.open[0]?.send(CHUNK_SIZE);
    client.open[0]?.fail(remoteError());
    await clock.settle();
    test.match(reads, [[{ code: 'REMOTE', facts: { status: 503 } }], [{ code: 'REMOTE' }]]);
    test.equal(opened[0]?.lastError, 'registry.example: 503');
    const next = want(opened[0], 0, 3);
    await clock.settle();
    client.open[0]?.answer();
    await clock.settle();
    test.same(next, [null]);
    test.equal(client.requests.at(-1)?.first, CHUNK_SIZE, 'the first chunk had come');
  },
);

await t.test(
  'a repository that refuses is followed by another one that has the blob',
  async (test) => {
    const fake = new FakeBlob(4 * MIB);
    const { clock, client, opened, want } = scheduled(fake);
    opened[0]?.alsoAt({ ...fake.ref, repository: 'other' });
    const read = want(opened[0], 0);
    await clock.settle();
    client.open[0]?.fail(new OverlaybdError('AUTH', 'no'));
    await clock.settle();
    test.same(read, []);
    test.equal(client.requests[1]?.ref.repository, 'other');
    client.open[0]?.fail(new OverlaybdError('NOT_FOUND', 'gone'));
    await clock.settle();
    test.match(read, [{ code: 'NOT_FOUND' }]);
  },
);

await t.test('chunks of another process are awaited, and fetched if it gives up', async (test) => {
  const fake = new FakeBlob(4 * MIB);
  const { clock, client, opened, want, ranges, scheduler } = scheduled(fake);
  for (const chunk of [1, 2]) fake.foreign.add(chunk);
  const read = want(opened[0], 0, 3);
  await clock.settle();
  test.same(ranges(), [
    [0, 0],
    [3, 3],
  ]);
  test.equal(scheduler.elsewhere, 2);
  for (const each of client.open.slice()) each.answer();
  await clock.pass(100);
  test.same(read, []);
  fake.claims.add(1);
  fake.foreign.clear();
  await clock.pass(20);
  test.same(ranges().slice(2), [[2, 2]], 'the other one had fetched chunk 1');
  client.open[0]?.answer();
  await clock.settle();
  test.same(read, [null]);
  test.equal(clock.timers, 0);
});

await t.test('a blob that is closed is not fetched any more, and is then free', async (test) => {
  const fake = new FakeBlob(64 * MIB);
  const { clock, client, opened, want, scheduler } = scheduled(fake);
  fake.foreign.add(900);
  const waits = [want(opened[0], 0, 800, 'fill', Infinity), want(opened[0], 900)];
  await clock.settle();
  const [blob] = opened;
  if (!blob) throw new Error('none');
  let isFree = false;
  void scheduler.remove(blob).then(() => (isFree = true));
  await clock.settle();
  test.match(waits, [[{ code: 'BUSY' }], [{ code: 'BUSY' }]]);
  test.ok(client.open.every(({ signal }) => signal.aborted));
  test.ok(isFree);
  test.equal(blob.wanted.size, 0);
  test.equal(fake.begun.size, 0);
  await clock.pass(30_000);
  test.equal(clock.timers, 0);
});

await t.test(
  'ten thousand reads at once are bounded requests, and one more than the limit is refused',
  async (test) => {
    const fake = new FakeBlob(64 * MIB);
    const { clock, client, opened, want, scheduler } = scheduled(fake);
    const reads = Array.from({ length: 10_000 }, (_, i) => want(opened[0], i % 1000));
    await clock.settle();
    test.equal(client.open.length, 11);
    test.equal(scheduler.reads, 10_000);
    let requests = 0;
    while (client.open.length > 0) {
      requests += client.open.length;
      for (const each of client.open.slice()) each.answer();
      await clock.settle();
    }
    test.equal(requests, 63, 'of a MiB');
    test.ok(reads.every(([result]) => result === null));
    test.equal(scheduler.reads, 0);
  },
);

await t.test('above the limit of waiting chunks, reads are refused', async (test) => {
  const fake = new FakeBlob(4 * MIB);
  const { clock, opened, want } = scheduled(fake);
  const [blob] = opened;
  if (!blob) throw new Error('none');
  // Without a blob of 16 GiB: one that only says so.
  const huge = Object.create(blob, {}) as FetchBlob;
  const read = want(huge, 0, 1 << 18);
  await clock.settle();
  test.match(read, [{ code: 'BUSY' }]);
});

await t.test('wrong bytes are asked of the registry itself, apart from others', async (test) => {
  const fake = new FakeBlob(4 * MIB);
  const { clock, client, opened, want } = scheduled(fake);
  want(opened[0], 4, 5);
  want(opened[0], 6, 6, 'demand', 20_000, true);
  await clock.settle();
  test.same(
    client.requests.map(({ first, fromOrigin }) => [first / CHUNK_SIZE, fromOrigin]),
    [
      [4, false],
      [6, true],
    ],
  );
});

await t.test(
  'a chunk that is not what it was is fetched again, past mirrors, and then fails',
  async (test) => {
    const fake = new FakeBlob(MIB);
    fake.setDigests(fake.chunkDigests(), null);
    const { clock, client, scheduler, opened, want, ranges } = scheduled(fake);
    const flip = (): void =>
      void (fake.data[5 * CHUNK_SIZE] = (fake.data[5 * CHUNK_SIZE] as number) ^ 1);
    flip();
    const [good, bad] = [want(opened[0], 4), want(opened[0], 4, 6)];
    const ahead = want(opened[0], 5, 7, 'ahead');
    await clock.settle();
    client.open[0]?.answer();
    await clock.settle();
    test.same([good, bad, ahead], [[null], [], []], 'the others of the request are kept');
    test.same(ranges(), [
      [4, 7],
      [5, 5],
    ]);
    test.same(
      client.requests.map(({ fromOrigin }) => fromOrigin),
      [false, true],
    );
    test.notOk(fake.map.has(5));
    client.open[0]?.answer();
    await clock.settle();
    const [range, digest] = [`${5 * CHUNK_SIZE}-${6 * CHUNK_SIZE - 1}`, fake.spec.digest];
    test.match(bad, [{ code: 'BAD_CHECKSUM', message: /chunk 5 /, facts: { range, digest } }]);
    test.match(ahead, [{ code: 'BAD_CHECKSUM' }]);
    test.equal(client.open.length, 0, 'no third request');
    test.match(scheduler.totals.posted([]), { wrong: 2 });
    test.equal(scheduler.totals.refetched, 1);

    // It is asked for again by the next read, and a mirror that was wrong once does not make it fail.
    const next = want(opened[0], 5);
    await clock.settle();
    client.open[0]?.send();
    flip();
    client.open[0]?.end();
    await clock.settle();
    client.open[0]?.answer();
    await clock.settle();
    test.same(next, [null]);
    test.ok(
      fake.kept
        .subarray(4 * CHUNK_SIZE, 8 * CHUNK_SIZE)
        .equals(fake.data.subarray(4 * CHUNK_SIZE, 8 * CHUNK_SIZE)),
    );
    test.equal(fake.begun.size, 0);
  },
);

await t.test('the client has a little less time than the read, to say why', async (test) => {
  const fake = new FakeBlob(MIB);
  const { clock, client, opened, want } = scheduled(fake);
  const end = clock.now() + 20_000;
  want(opened[0], 0);
  await clock.settle();
  test.equal(client.requests[0]?.deadlineMs, end - ANSWER_MARGIN_MS);
  client.open[0]?.answer();
  await clock.settle();
  want(opened[0], 1, 1, 'demand', 400);
  await clock.settle();
  test.equal(client.requests[1]?.deadlineMs, clock.now() + 300, 'a quarter of a short time');
  client.open[0]?.answer();
  await clock.settle();
});
