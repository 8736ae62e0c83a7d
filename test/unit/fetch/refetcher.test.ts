// What is dropped, asked for and remembered, for chunks whose bytes are wrong.
import t from 'tap';
import { OpenBlob } from '../../../daemon/fetch/blobs.js';
import { Refetched } from '../../../daemon/fetch/refetched.js';
import { Refetcher, runsOf } from '../../../daemon/fetch/refetcher.js';
import { FakeBlob, remoteError, scheduled } from '../../support/fetch-fakes.js';

await t.test('only wrong chunks are dropped, and remembered once they have come', async (test) => {
  const fake = new FakeBlob(1 << 20);
  const parts = scheduled(fake);
  const { client, clock } = parts;
  for (let chunk = 0; chunk < fake.chunks; chunk++) fake.map.set(chunk);
  const refetcher = new Refetcher(parts);
  const blob = new OpenBlob(fake.ref, fake);
  const memories = [new Refetched(), new Refetched()];
  const answers: (Error | null)[] = [];
  const deadline = clock.now() + 20_000;
  const done = (error: Error | null): void => void answers.push(error);
  refetcher.fetch(blob, 0, 3, { deadline, memories, isWrong: (chunk) => chunk !== 1, done });
  test.notOk(fake.map.has(0));
  test.ok(fake.map.has(1));
  await clock.settle();
  test.match(client.requests, [{ fromOrigin: true }, { fromOrigin: true }]);
  for (const each of client.open.slice()) each.answer();
  await clock.settle();
  test.same(answers, [null]);
  test.same(
    memories.map((each) => [0, 1, 2, 3].map((chunk) => each.verdict(chunk, clock.now()))),
    Array.from({ length: 2 }, () => ['again', 'fetch', 'again', 'again']),
  );
  test.equal(refetcher.count, 3);
  const failed = [new Refetched()];
  refetcher.fetch(blob, 5, 5, { deadline, memories: failed, done });
  await clock.settle();
  client.open[0]?.fail(remoteError());
  await clock.pass(30_000);
  test.equal(failed[0]?.verdict(5, clock.now()), 'fetch', 'it has not come');
});

await t.test('numbers that follow each other are runs', (test) => {
  test.same(runsOf([1, 2, 4, 7, 8]), [
    [1, 2],
    [4, 4],
    [7, 8],
  ]);
  test.same(runsOf([]), []);
  test.end();
});
