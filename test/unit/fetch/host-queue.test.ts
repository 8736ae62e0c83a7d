// Which of the chunks that wait go next: registries, blobs and classes of one scheduler.
import t from 'tap';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import { MAX_TRANSFER_BYTES, TURN_BYTES } from '../../../daemon/fetch/limits.js';
import { FakeBlob, scheduled } from '../../support/fetch-fakes.js';

const MIB = 1 << 20;

await t.test('one dead registry of eight delays no other', async (test) => {
  const blobs = Array.from({ length: 8 }, (_, i) => new FakeBlob(8 * MIB, `host-${i}`));
  const turnsOf = async (isDead: boolean): Promise<number> => {
    const { clock, client, opened, want } = scheduled(
      ...blobs.map(({ ref }) => new FakeBlob(8 * MIB, ref.host)),
    );
    for (const { ref } of blobs.slice(1)) client.prompt.add(ref.host);
    const dead = isDead ? Array.from({ length: 128 }, (_, i) => want(opened[0], i)) : [];
    await clock.settle();
    const others = opened.slice(1).flatMap((blob) => [want(blob, 0), want(blob, 50, 60)]);
    const turns = await clock.settle();
    test.ok(others.every(([result]) => result === null));
    test.ok(dead.every((each) => each.length === 0));
    await clock.pass(20_000);
    test.ok(dead.every(([error]) => error instanceof OverlaybdError && error.code === 'REMOTE'));
    return turns;
  };
  test.equal(await turnsOf(true), await turnsOf(false), 'as many turns as without it');
});

await t.test('a blob that is stuck leaves room for the others of its registry', async (test) => {
  const [stuck, other] = [new FakeBlob(8 * MIB), new FakeBlob(8 * MIB)];
  const { clock, client, opened, want } = scheduled(stuck, other);
  for (let i = 0; i < 60; i++) want(opened[0], 2 * i);
  await clock.settle();
  test.equal(client.open.length, 11);
  const reads = [want(opened[1], 0), want(opened[1], 9)];
  await clock.settle();
  for (const each of client.open.slice(11)) each.answer();
  await clock.settle();
  test.same(reads, [[null], [null]]);
});

await t.test('blobs of a class take turns by bytes', async (test) => {
  const [long, short] = [new FakeBlob(64 * MIB), new FakeBlob(8 * MIB)];
  const { clock, client, opened, want } = scheduled(long, short);
  want(opened[0], 0, 1023);
  await clock.settle();
  for (let i = 0; i < 20; i++) want(opened[1], 2 * i);
  await clock.settle();
  // One after the other: the next begins when one ends.
  const order: string[] = [];
  for (let i = 0; i < 30; i++) {
    const before = client.requests.length;
    client.open[0]?.answer();
    await clock.settle();
    for (const { ref } of client.requests.slice(before)) order.push(ref === long.ref ? 'L' : 's');
  }
  const first = order.slice(0, 10).join('');
  test.match(first, /s{4}/, `small reads have their share: ${first}`);
});

await t.test(
  'reads go before everything else, and background never has all transfers',
  async (test) => {
    const fake = new FakeBlob(64 * MIB);
    const { clock, client, opened, want } = scheduled(fake);
    const [blob] = opened;
    want(blob, 0, 800, 'fill', Infinity);
    await clock.settle();
    test.equal(client.open.length, 8, 'half of the transfers');
    want(blob, 900, 901, 'trace', Infinity);
    want(blob, 910, 911, 'ahead', Infinity);
    const read = want(blob, 920);
    await clock.settle();
    test.equal(client.open.length, 9);
    test.equal(client.requests.at(-1)?.class, 'demand');
    client.open[8]?.answer();
    client.open[0]?.answer();
    client.open[0]?.answer();
    await clock.settle();
    test.same(read, [null]);
    test.same(
      client.requests.slice(9).map((each) => each.class),
      ['ahead', 'trace'],
    );
  },
);

await t.test('while a read waits, no background request starts', async (test) => {
  const blobs = [new FakeBlob(64 * MIB), new FakeBlob(64 * MIB)];
  const { clock, client, opened, want } = scheduled(...blobs);
  for (let i = 0; i < 40; i++) want(opened[0], 2 * i);
  want(opened[1], 0, 800, 'fill', Infinity);
  await clock.settle();
  test.ok(client.requests.every((each) => each.class === 'demand'));
  for (let i = 0; i < 60 && client.requests.at(-1)?.class === 'demand'; i++) {
    client.open[0]?.answer();
    await clock.settle();
  }
  test.equal(client.requests.filter((each) => each.class === 'demand').length, 40);
  test.equal(client.requests.at(-1)?.class, 'fill');
});

await t.test('a read promotes what is queued for less', async (test) => {
  const fake = new FakeBlob(64 * MIB);
  const { clock, client, opened, want } = scheduled(fake);
  const [blob] = opened;
  const fill = want(blob, 0, 800, 'fill', Infinity);
  await clock.settle();
  const read = want(blob, 700);
  await clock.settle();
  const { first, last, class: fetchClass } = client.requests.at(-1) ?? {};
  test.same([first, last, fetchClass], [700 * CHUNK_SIZE, 701 * CHUNK_SIZE - 1, 'demand']);
  client.open.at(-1)?.answer();
  await clock.settle();
  test.same([read, fill], [[null], []]);
});

await t.test('when the read gives up, what it promoted is fill again', async (test) => {
  const fake = new FakeBlob(64 * MIB);
  const { clock, client, opened, want, scheduler } = scheduled(fake);
  const [blob] = opened;
  // The reads take all that one blob may have; the last one is queued.
  for (let i = 0; i < 20; i++) want(blob, 2 * i, 2 * i, 'demand', 60_000);
  want(blob, 500, 500, 'fill', Infinity);
  const read = want(blob, 500, 500, 'demand', 1000);
  await clock.pass(1000);
  test.equal((read[0] as OverlaybdError).code, 'REMOTE');
  const [host] = scheduler.hosts;
  test.equal(host?.queued.fill, 1);
  for (const each of client.open.slice()) each.answer();
  await clock.settle();
});

await t.test(
  'a request has a MiB, and a blob 256 KiB before the next has its turn',
  async (test) => {
    const [long, other] = [new FakeBlob(64 * MIB), new FakeBlob(64 * MIB)];
    const { clock, client, opened, want } = scheduled(long, other);
    want(opened[0], 0, 63);
    await clock.settle();
    test.same(
      client.requests.map(({ first, last }) => last + 1 - first),
      Array.from({ length: 4 }, () => MAX_TRANSFER_BYTES),
    );
    for (const each of client.open.slice()) each.answer();
    await clock.settle();
    // Chunks that are not neighbours, so each is a request; blob and blob take turns.
    for (let i = 0; i < 40; i++) for (const blob of opened) want(blob, 100 + 2 * i);
    await clock.settle();
    const before = client.requests.length;
    for (let i = 0; i < 40; i++) {
      client.open[0]?.answer();
      await clock.settle();
    }
    const order = client.requests.slice(before).map(({ ref }) => (ref === long.ref ? 'a' : 'b'));
    const turns = order.join('').match(/a+|b+/g) ?? [];
    const inner = turns.slice(1, -1);
    test.ok(inner.length >= 4);
    const chunks = TURN_BYTES / CHUNK_SIZE;
    test.same(
      inner.filter((turn) => turn.length !== chunks),
      [],
      order.join(''),
    );
  },
);
