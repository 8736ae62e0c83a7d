// What is fetched again for openings that failed, and when that is remembered.
import t from 'tap';
import { OpenBlob } from '../../../daemon/fetch/blobs.js';
import { Doubts } from '../../../daemon/fetch/doubts.js';
import { Refetcher } from '../../../daemon/fetch/refetcher.js';
import {
  DOUBT_PAUSE_MS,
  MAX_DOUBTED_BLOBS,
  REFETCH_PAUSE_MS,
} from '../../../daemon/fetch/limits.js';
import type { ChunkRun } from '../../../daemon/fetch/messages.js';
import { FakeBlob, remoteError, scheduled } from '../../support/fetch-fakes.js';

const MIB = 1 << 20;

function setup(fake = new FakeBlob(MIB), answers = true) {
  const parts = scheduled(fake);
  const { client, clock } = parts;
  if (answers) client.prompt.add(fake.ref.host);
  for (let chunk = 0; chunk < fake.chunks; chunk++) fake.map.set(chunk);
  const doubts = new Doubts({ ...parts, refetcher: new Refetcher(parts) });
  const again = async (runs: readonly ChunkRun[], blob = new OpenBlob(fake.ref, fake)) => {
    const result = doubts
      .fetchAgain(blob, runs, clock.now() + 20_000)
      .catch((error: unknown) => error);
    for (let i = 0; i < 5; i++) await clock.settle();
    return result;
  };
  return { ...parts, fake, doubts, again };
}

await t.test('bytes that were compared with a digest stay', async (test) => {
  const complete = setup();
  complete.fake.map.setComplete(true);
  const digests = setup();
  digests.fake.setDigests(digests.fake.chunkDigests(), null);
  for (const { again, fake, client } of [complete, digests]) {
    test.equal(await again([[0, 3]]), false);
    test.equal(fake.drops, 0);
    test.same(client.requests, []);
    test.ok(fake.map.hasAll(0, fake.chunks - 1));
  }
});

await t.test('nothing is dropped if the registry does not answer', async (test) => {
  const { client, fake, doubts, clock } = setup(new FakeBlob(MIB), false);
  const failing = doubts.fetchAgain(new OpenBlob(fake.ref, fake), [[0, 3]], clock.now() + 20_000);
  await clock.settle();
  client.open[0]?.fail(remoteError());
  await test.rejects(failing, { code: 'REMOTE' });
  test.equal(fake.drops, 0);
  test.match(client.requests, [{ fromOrigin: true }]);
  test.ok(fake.map.hasAll(0, 3));
});

await t.test('chunks that cannot be better do not keep others from being fetched', async (test) => {
  const { client, clock, fake, again, ranges } = setup();
  const blob = new OpenBlob(fake.ref, fake);
  blob.refetched.fetched([2], clock.now());
  await clock.pass(2000);
  test.equal(await again([[2, 2]], blob), false);
  test.same(client.requests, []);
  test.equal(
    await again(
      [
        [0, 3],
        [7, 8],
      ],
      blob,
    ),
    true,
  );
  test.same(ranges().slice(1), [
    [0, 1],
    [3, 3],
    [7, 8],
  ]);
  test.equal(fake.drops, 5);
  test.ok(fake.map.hasAll(0, fake.chunks - 1), 'what was dropped is here again');
});

await t.test('a failure of one run leaves the others as they are', async (test) => {
  const { client, clock, fake, doubts } = setup(new FakeBlob(MIB), false);
  const blob = new OpenBlob(fake.ref, fake);
  const runs = [
    [0, 0],
    [4, 4],
    [8, 8],
  ] as const;
  const result = doubts.fetchAgain(blob, runs, clock.now() + 20_000);
  const next = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await clock.settle();
  };
  await next();
  client.open[0]?.answer();
  await next();
  client.open[0]?.answer();
  await next();
  client.open[0]?.fail(remoteError());
  await next();
  while (client.open.length > 0) {
    client.open[0]?.fail(remoteError());
    await next();
  }
  test.equal(await result, true, 'one has come');
  test.equal(fake.map.has(8), true, 'not dropped');
});

await t.test('what did not help is remembered after its blob was closed', async (test) => {
  const { client, clock, fake, again, doubts } = setup();
  test.equal(await again([[0, 1]]), true);
  const { length } = client.requests;
  test.equal(await again([[0, 1]]), true, 'an opening may have read them before');
  await clock.pass(2 * REFETCH_PAUSE_MS);
  test.equal(await again([[0, 1]]), false);
  test.equal(client.requests.length, length);
  test.equal(await again([[0, 2]]), true, 'the bytes of another chunk may help');
  test.equal(fake.drops, 3);
  await clock.pass(DOUBT_PAUSE_MS);
  test.equal(await again([[0, 1]]), true, 'in the end once more');
  await clock.pass(2 * REFETCH_PAUSE_MS);
  test.equal(await again([[0, 1]]), false);
  doubts.forget([]);
  test.equal(await again([[0, 1]]), true, 'the configuration was loaded again');
});

await t.test('the configuration was loaded again while the blob is open', async (test) => {
  const { clock, fake, again, doubts } = setup();
  const blob = new OpenBlob(fake.ref, fake);
  test.equal(await again([[0, 1]], blob), true);
  await clock.pass(2000);
  test.equal(await again([[0, 1]], blob), false);
  test.ok(blob.isOriginOnly(0, clock.now()));
  doubts.forget([blob]);
  test.notOk(blob.isOriginOnly(0, clock.now()), 'mirrors are asked for it');
  test.equal(await again([[0, 1]], blob), true);
});

await t.test('it is remembered of some blobs only', async (test) => {
  const { clock, fake, again } = setup();
  test.equal(await again([[0, 0]]), true);
  await clock.pass(2 * REFETCH_PAUSE_MS);
  const named = (i: number): OpenBlob => new OpenBlob({ ...fake.ref, size: i }, fake);
  for (let i = 1; i < MAX_DOUBTED_BLOBS; i++) await again([], named(i));
  test.equal(await again([[0, 0]]), false);
  await again([], named(MAX_DOUBTED_BLOBS));
  test.equal(await again([[0, 0]]), true);
});

await t.test('two openings that fail have a blob fetched once', async (test) => {
  const { fake, doubts, clock } = setup();
  const blob = new OpenBlob(fake.ref, fake);
  const both = [1, 2].map(() => doubts.fetchAgain(blob, [[0, 3]], clock.now() + 20_000));
  for (let i = 0; i < 5; i++) await clock.settle();
  test.same(await Promise.all(both), [true, true]);
  test.equal(fake.drops, 4);
});
