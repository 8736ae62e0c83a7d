// Blobs that are fetched whole.
import t from 'tap';
import { Filler } from '../../../daemon/fetch/fill.js';
import { FILL_BLOBS, MAX_FILL_RETRY_MS } from '../../../daemon/fetch/limits.js';
import { FakeBlob, remoteError, scheduled } from '../../support/fetch-fakes.js';

const MIB = 1 << 20;

function setup(fillRate: number, ...fakes: FakeBlob[]) {
  const parts = scheduled(...fakes);
  const { scheduler, clock } = parts;
  const lines: string[] = [];
  const log = { log: (_level: string, message: string) => void lines.push(message) };
  const rate = { bytes: fillRate };
  const filler = new Filler({ scheduler, clock, log, fillRate: () => rate.bytes });
  return { ...parts, filler, lines, rate };
}

await t.test('all of a blob, a few requests at a time, and only what is missing', async (test) => {
  const fake = new FakeBlob(10 * MIB + 5);
  const { clock, client, opened, filler, want } = setup(0, fake);
  const [blob] = opened;
  if (!blob) throw new Error('none');
  client.prompt.add(fake.ref.host);
  want(blob, 16, 47);
  await clock.settle();
  client.prompt.clear();
  const told: [number, boolean][] = [];
  const { signal } = new AbortController();
  const done = filler.fill(blob, signal, (bytes, wasThere) => told.push([bytes, wasThere]));
  await clock.settle();
  test.equal(client.open.length, 4);
  while (client.open.length > 0) {
    client.open[0]?.answer();
    await clock.settle();
  }
  await done;
  test.ok(fake.map.isComplete);
  test.ok(fake.kept.equals(fake.data));
  test.equal(client.bytes, fake.data.length);
  test.equal(told.filter(([, wasThere]) => wasThere).length, 2);
  test.equal(
    told.reduce((sum, [bytes]) => sum + bytes, 0),
    fake.data.length,
  );
});

await t.test(
  'ends with the first failure, or when it is aborted; what came stays',
  async (test) => {
    const fake = new FakeBlob(10 * MIB);
    const { clock, client, opened, filler } = setup(0, fake);
    const [blob] = opened;
    if (!blob) throw new Error('none');
    const { signal } = new AbortController();
    const failing = test.rejects(
      filler.fill(blob, signal, () => undefined),
      { code: 'REMOTE' },
    );
    await clock.settle();
    client.open[1]?.answer();
    await clock.settle();
    client.open[0]?.fail(remoteError());
    await clock.settle();
    for (const each of client.open.slice()) each.answer();
    await failing;
    test.ok(fake.map.hasAll(16, 31));
    const requests = client.requests.length;
    const stop = new AbortController();
    const aborted = test.rejects(
      filler.fill(blob, stop.signal, () => undefined),
      { code: 'BUSY' },
    );
    await clock.settle();
    stop.abort();
    await clock.settle();
    await aborted;
    for (const each of client.open.slice()) each.answer();
    await clock.settle();
    test.ok(client.requests.length < requests + 6);
    test.equal(blob.wanted.size, 0);
  },
);

await t.test('a blob without its digest is an error', async (test) => {
  const fake = new FakeBlob(MIB);
  fake.isRight = false;
  const { clock, client, opened, filler } = setup(0, fake);
  client.prompt.add(fake.ref.host);
  const [blob] = opened;
  if (!blob) throw new Error('none');
  const { signal } = new AbortController();
  const done = test.rejects(
    filler.fill(blob, signal, () => undefined),
    { code: 'BAD_CHECKSUM' },
  );
  await clock.settle();
  await done;
  test.equal(client.bytes, 2 * MIB, 'asked once more, and no further');
});

await t.test('a blob that the cache does not keep is no fault of its registry', async (test) => {
  for (const [unkept, message] of [
    ['in memory', /chunks of it are in memory only/],
    ['failed', /its file in the cache/],
  ] as const) {
    const fake = new FakeBlob(MIB);
    fake.unkept = unkept;
    const { clock, client, opened, filler } = setup(0, fake);
    client.prompt.add(fake.ref.host);
    const [blob] = opened;
    if (!blob) throw new Error('none');
    const filling = filler.fill(blob, new AbortController().signal, () => undefined);
    const done = test.rejects(filling, { code: 'IO', message });
    await clock.settle();
    await done;
    test.equal(client.bytes, MIB, 'not asked again');
  }
});

await t.test(
  'wrong bytes of the cache are fetched again, from the registry itself',
  async (test) => {
    const fake = new FakeBlob(MIB);
    const { clock, client, opened, filler } = setup(0, fake);
    client.prompt.add(fake.ref.host);
    const [blob] = opened;
    if (!blob) throw new Error('none');
    for (let chunk = 0; chunk < fake.chunks; chunk++) fake.map.set(chunk);
    fake.isRight = false;
    const complete = fake.complete.bind(fake);
    fake.complete = async () => {
      const isRight = await complete();
      fake.isRight = true;
      return isRight;
    };
    let told = 0;
    const done = filler.fill(blob, new AbortController().signal, (bytes) => (told += bytes));
    await clock.settle();
    await done;
    test.ok(fake.map.isComplete);
    test.equal(client.bytes, MIB);
    test.ok(client.requests.every(({ fromOrigin }) => fromOrigin));
    test.equal(told, MIB, 'counted once');
  },
);

await t.test('in the background: by its rate, after reads, until it is there', async (test) => {
  const fake = new FakeBlob(20 * MIB);
  const { clock, client, opened, filler, want } = setup(MIB, fake);
  client.prompt.add(fake.ref.host);
  const [blob] = opened;
  if (!blob) throw new Error('none');
  filler.start(blob);
  filler.start(blob);
  test.equal(filler.size, 1);
  await clock.settle();
  const atOnce = client.bytes;
  test.ok(atOnce <= 2 * MIB, `${atOnce} at once`);
  await clock.pass(5000);
  test.ok(client.bytes <= atOnce + 5 * MIB && client.bytes >= atOnce + 4 * MIB, `${client.bytes}`);
  const read = want(blob, 300);
  await clock.settle();
  test.same(read, [null]);
  await clock.pass(30_000);
  test.ok(fake.map.isComplete);
  test.equal(client.bytes, fake.data.length, 'no byte twice');
  test.equal(filler.size, 0);
  filler.start(blob);
  test.equal(filler.size, 0, 'it is complete');
});

await t.test(
  'in the background, failures are tried again, ever more slowly, until it is stopped',
  async (test) => {
    const fake = new FakeBlob(2 * MIB);
    const { clock, client, opened, filler, lines, rate } = setup(100 * MIB, fake);
    const [blob] = opened;
    if (!blob) throw new Error('none');
    filler.start(blob);
    for (let i = 0; i < 4; i++) {
      await clock.settle();
      for (const each of client.open.slice()) each.fail(remoteError());
      await clock.pass(1000 * 2 ** i);
    }
    test.match(lines, [/trying again in 1 s$/, /in 2 s$/, /in 4 s$/, /in 8 s$/]);
    await clock.settle();
    test.equal(client.open.length, 2);
    filler.stop(blob);
    await clock.settle();
    test.equal(filler.size, 0);
    for (const each of client.open.slice()) each.answer();
    rate.bytes = 0;
    filler.start(blob);
    test.equal(filler.size, 0, 'without a rate there is none');
    filler.stopAll();
  },
);

await t.test('in the background, the pause ends at a minute', async (test) => {
  const fake = new FakeBlob(MIB);
  const { clock, client, opened, filler, lines } = setup(100 * MIB, fake);
  const [blob] = opened;
  if (!blob) throw new Error('none');
  filler.start(blob);
  for (let i = 0; i < 9; i++) {
    await clock.settle();
    for (const each of client.open.slice()) each.fail(remoteError());
    await clock.pass(Math.min(1000 * 2 ** i, MAX_FILL_RETRY_MS));
  }
  test.match(lines.slice(-3), [/in 60 s$/, /in 60 s$/, /in 60 s$/]);
  test.match(lines[5], /in 32 s$/);
  filler.stopAll();
  for (const each of client.open.slice()) each.answer();
  await clock.settle();
});

await t.test('in the background, some blobs are filled, and the others follow', async (test) => {
  const fakes = Array.from({ length: FILL_BLOBS + 2 }, () => new FakeBlob(MIB));
  const { clock, client, opened, filler } = setup(100 * MIB, ...fakes);
  for (const blob of opened) filler.start(blob);
  await clock.settle();
  test.equal(client.open.length, FILL_BLOBS);
  client.open[0]?.answer();
  await clock.settle();
  test.equal(client.requests.length, FILL_BLOBS + 1);
  filler.stopAll();
  for (const each of client.open.slice()) each.answer();
  await clock.settle();
});
