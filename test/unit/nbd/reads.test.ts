// Reads whose bytes are not at hand: postponed, resolved in any order, evicted, failed, limited, and abandoned.
import t from 'tap';
import { NBD_CMD, NBD_EIO } from '../../../daemon/nbd/constants.js';
import { MAX_IN_FLIGHT, MAX_UNSENT_BYTES } from '../../../daemon/nbd/limits.js';
import { MAX_WAITS } from '../../../daemon/lib/loaded.js';
import { LargeMemory } from '../../../daemon/nbd/large-memory.js';
import type { ReplyForm } from '../../../daemon/nbd/session.js';
import { FakeExport, bytesAt, slowExport } from './fake-export.js';
import { Harness } from './transmission-harness.js';
import { deferred } from '../../support/deferred.js';

const FORMS: readonly ReplyForm[] = ['simple', 'structured', 'extended'];
const MIB = 1 << 20;

const connect = (fake: FakeExport, form: ReplyForm, memory = new LargeMemory()): Harness =>
  new Harness(fake, memory, { form, contexts: [] });

const SIZE = 64 << 20;

const cookies = (harness: Harness): bigint[] => harness.answers().map(({ cookie }) => cookie);

await t.test('reads are answered in the order in which their bytes arrive', async (test) => {
  const { fake, waits } = slowExport(SIZE);
  const harness = new Harness(fake);
  for (let i = 0; i < 4; i++) harness.ask({ cookie: BigInt(i), offset: i * 1000, length: 1000 });
  await harness.settle();
  test.same(cookies(harness), []);
  test.equal(harness.transmission.inFlight, 4);
  test.equal(fake.reads.length, 0, 'nothing is read before its bytes are there');
  fake.onEnsure = () => null;
  harness.ask({ cookie: 9n, offset: 5, length: 5 });
  await harness.settle();
  test.same(cookies(harness), [9n], 'later reads may overtake');
  for (const i of [2, 0, 3, 1]) {
    waits.get(i * 1000)?.resolve();
    await harness.settle();
  }
  test.same(cookies(harness), [9n, 2n, 0n, 3n, 1n]);
  for (const { cookie, data } of harness.answers().slice(1)) {
    test.ok(data.equals(bytesAt(Number(cookie) * 1000, 1000)));
  }
  test.equal(harness.transmission.inFlight, 0);
});

await t.test('a read that must wait for the disk is answered after load()', async (test) => {
  const fake = new FakeExport(SIZE);
  const harness = new Harness(fake);
  const wait = deferred();
  const loads: [number, number][] = [];
  fake.onRead = ({ loaded }) => loaded;
  fake.onLoad = (offset, length) => {
    loads.push([offset, length]);
    return wait.promise;
  };
  harness.ask({ cookie: 1n, offset: 300, length: 30 });
  await harness.settle();
  test.same(loads, [[300, 30]]);
  test.same(cookies(harness), []);
  wait.resolve();
  await harness.settle();
  test.same(harness.answers()[0]?.data, bytesAt(300, 30));
  test.same(
    fake.reads.map(({ loaded }) => loaded),
    [false, true],
  );
});

await t.test('bytes that cannot be fetched are NBD_EIO', async (test) => {
  const { fake, waits } = slowExport(SIZE);
  const harness = new Harness(fake);
  for (let i = 0; i < 5; i++) harness.ask({ cookie: BigInt(i), offset: i, length: 10 });
  await harness.settle();
  const gone = new Error('registry gone');
  waits.get(0)?.reject(gone);
  waits.get(1)?.reject(undefined);
  waits.get(2)?.reject(null);
  waits.get(3)?.resolve();
  fake.onRead = ({ offset }) => {
    if (offset === 4) throw gone;
    return true;
  };
  waits.get(4)?.resolve();
  await harness.settle();
  const answers = harness.answers();
  const errors = new Map(answers.map(({ cookie, error }) => [cookie, error]));
  test.equal(answers.length, 5, 'each is answered once');
  test.equal(errors.get(0n), NBD_EIO);
  test.equal(errors.get(1n), NBD_EIO, 'also without a reason');
  test.equal(errors.get(2n), NBD_EIO);
  test.equal(errors.get(3n), 0);
  test.equal(errors.get(4n), NBD_EIO, 'also if the read after the fetch fails');
  test.equal(harness.failures.length, 4);
  test.ok(harness.failures.every(({ error }) => error !== undefined && error !== null));
  test.equal(harness.transmission.errors, 4);
});

await t.test('a load() that rejects is NBD_EIO', async (test) => {
  const fake = new FakeExport(SIZE);
  const harness = new Harness(fake);
  fake.onRead = ({ loaded }) => loaded;
  fake.onLoad = () => Promise.reject(new Error('disk gone'));
  harness.ask({ cookie: 1n, offset: 0, length: 10 });
  harness.ask({ cookie: 2n, offset: 0, length: 1 << 20 });
  await harness.settle();
  test.same(
    harness.answers().map(({ error }) => error),
    [NBD_EIO, NBD_EIO],
  );
});

await t.test('stale bytes are not sent if a source breaks its contract', async (test) => {
  const fake = new FakeExport(SIZE);
  const harness = new Harness(fake);
  fake.onRead = () => false; // also when it may block
  harness.ask({ cookie: 1n, offset: 0, length: 10 });
  harness.ask({ cookie: 2n, offset: 0, length: 1 << 20 });
  await harness.settle();
  test.same(
    harness.answers().map(({ error }) => error),
    [NBD_EIO, NBD_EIO],
  );
});

await t.test('no more requests are in flight than the limit', async (test) => {
  const { fake, waits } = slowExport(SIZE);
  const harness = new Harness(fake);
  const count = MAX_IN_FLIGHT + 50;
  for (let i = 0; i < count; i++) harness.ask({ cookie: BigInt(i), offset: i, length: 1 });
  await harness.settle();
  test.equal(waits.size, MAX_IN_FLIGHT);
  test.equal(harness.transmission.inFlight, MAX_IN_FLIGHT);
  test.equal(harness.transmission.state, 'waiting');
  waits.get(77)?.resolve();
  await harness.settle();
  test.equal(waits.size, MAX_IN_FLIGHT + 1, 'one is answered, so one more is accepted');
  for (let done = 0; harness.answers().length < count; done++) {
    for (const wait of waits.values()) wait.resolve();
    await harness.settle();
    if (done > 5) break;
  }
  test.equal(new Set(cookies(harness)).size, count);
  test.equal(harness.answers().length, count);
});

await t.test('many reads that become ready at once stay within the unsent limit', async (test) => {
  const { fake, waits } = slowExport(SIZE);
  const harness = new Harness(fake);
  harness.room = 0;
  for (let i = 0; i < 100; i++) harness.ask({ cookie: BigInt(i), offset: i, length: 200_000 });
  await harness.settle();
  for (const wait of waits.values()) wait.resolve();
  await harness.settle();
  test.ok(harness.outbox.unsent < MAX_UNSENT_BYTES + 200_016);
  test.ok(fake.reads.length <= 2, 'the remaining ones are not read yet');
  harness.room = Infinity;
  await harness.settle();
  test.equal(harness.answers().length, 100);
});

await t.test('NBD_CMD_DISC with requests in flight: all are answered first', async (test) => {
  const { fake, waits } = slowExport(SIZE);
  const harness = new Harness(fake);
  harness.ask({ cookie: 1n, offset: 1, length: 100 });
  harness.ask({ cookie: 2n, offset: 2, length: 100 });
  harness.ask({ type: NBD_CMD.DISC });
  await harness.settle();
  test.equal(harness.transmission.state, 'waiting');
  test.ok(harness.transmission.ending);
  waits.get(2)?.resolve();
  await harness.settle();
  test.same(cookies(harness), [2n]);
  test.equal(harness.transmission.state, 'waiting');
  waits.get(1)?.reject(new Error('no'));
  await harness.settle();
  test.same(cookies(harness), [2n, 1n]);
  test.equal(harness.transmission.state, 'done');
});

await t.test('a client that hangs up with requests in flight is cleaned up', async (test) => {
  const { fake, waits } = slowExport(SIZE);
  const harness = new Harness(fake);
  harness.ask({ cookie: 1n, offset: 1, length: 100 });
  harness.ask({ cookie: 2n, offset: 2, length: 100 });
  await harness.settle();
  harness.close();
  waits.get(1)?.resolve();
  waits.get(2)?.reject(new Error('too late'));
  await new Promise(setImmediate);
  test.notOk(harness.woken, 'the closed connection is not woken');
  test.equal(harness.failures.length, 0, 'no failure is reported either');
  test.equal(fake.reads.length, 0);
  test.equal(harness.outbox.unsent, 0);
});

await t.test('accepted requests are answered when the daemon drains', async (test) => {
  const { fake, waits } = slowExport(SIZE);
  const harness = new Harness(fake);
  harness.ask({ cookie: 1n, offset: 1, length: 100 });
  await harness.settle();
  harness.transmission.end();
  harness.ask({ cookie: 2n, offset: 2, length: 100 });
  harness.pump();
  test.equal(harness.transmission.state, 'waiting');
  waits.get(1)?.resolve();
  await harness.settle();
  test.equal(harness.transmission.state, 'done');
  test.same(cookies(harness), [1n]);
});

/** An export whose cache evicts fetched bytes just before they are read, `times` times. */
function evictingExport(times: number): { fake: FakeExport; fetches: [number, number][] } {
  const fake = new FakeExport(SIZE);
  const fetches: [number, number][] = [];
  let isHere = false;
  fake.onEnsure = (offset, length) => {
    if (isHere) return null;
    fetches.push([offset, length]);
    return new Promise((resolve) => {
      setImmediate(() => {
        isHere = true;
        resolve();
      });
    });
  };
  fake.onRead = () => {
    if (!isHere) return false;
    if (fetches.length > times) return true;
    isHere = false;
    return false;
  };
  return { fake, fetches };
}

for (const form of FORMS) {
  await t.test(`${form}: evicted bytes are fetched again`, async (test) => {
    for (const length of [10, 4096, 200_000, MIB]) {
      const { fake, fetches } = evictingExport(3);
      const harness = connect(fake, form);
      harness.ask({ cookie: 1n, offset: 77, length });
      await harness.settle();
      const [answer] = harness.answers();
      test.equal(answer?.error, 0);
      test.ok(answer?.data.equals(bytesAt(77, length)), `${length} bytes`);
      test.ok(fetches.length >= 4, `${fetches.length} fetches`);
      test.equal(fake.loads.length, 0, 'there is no wait for a disk');
    }
  });

  await t.test(`${form}: bytes that are evicted every time end in NBD_EIO`, async (test) => {
    for (const length of [10, 200_000, MIB]) {
      const { fake, fetches } = evictingExport(Infinity);
      const harness = connect(fake, form);
      harness.ask({ cookie: 1n, offset: 77, length });
      await harness.settle();
      test.equal(harness.answers()[0]?.error, NBD_EIO, `${length} bytes`);
      test.equal(harness.transmission.inFlight, 0);
      // A short simple read is first tried as a whole, then as a long one, which ensures everything again.
      test.ok(fetches.length <= 2 * MAX_WAITS + 5, `${fetches.length} fetches`);
      test.match(harness.failures, [{ error: { code: 'IO', message: /8 times/ } }]);
    }
  });

  await t.test(`${form}: bytes that are evicted during load() are fetched again`, async (test) => {
    const fake = new FakeExport(SIZE);
    let isHere = true;
    const fetched = deferred();
    fake.onLoad = () => {
      isHere = fake.loads.length > 1;
      return Promise.resolve();
    };
    fake.onEnsure = () => (isHere ? null : fetched.promise);
    fake.onRead = ({ loaded }) => loaded && isHere;
    const harness = connect(fake, form);
    harness.ask({ cookie: 1n, offset: 5, length: 1000 });
    await harness.settle();
    test.same(harness.answers(), []);
    isHere = true;
    fetched.resolve();
    await harness.settle();
    test.match(harness.answers(), [{ error: 0, data: bytesAt(5, 1000) }]);
    test.equal(fake.loads.length, 1);
  });

  await t.test(`${form}: a long read ensures its whole range when it arrives`, async (test) => {
    const { fake, waits } = slowExport(SIZE);
    const asked: number[] = [];
    const wait = fake.onEnsure;
    fake.onEnsure = (offset, length) => {
      asked.push(length);
      return wait(offset, length);
    };
    const memory = new LargeMemory(undefined, 2 * MIB);
    const harness = connect(fake, form, memory);
    harness.ask({ cookie: 1n, offset: 0, length: 2 * MIB - 16 });
    await harness.settle();
    test.equal(asked[0], 2 * MIB - 16);
    // Another client is served meanwhile: a read that waits for a network holds no memory of the reactor.
    const other = connect(new FakeExport(SIZE), 'simple', memory);
    other.ask({ cookie: 2n, offset: 0, length: 2 * MIB - 16 });
    await other.settle();
    test.equal(other.answers().length, 1);
    fake.onEnsure = () => null;
    for (const each of waits.values()) each.resolve();
    await harness.settle();
    test.ok(harness.answers()[0]?.data.equals(bytesAt(0, 2 * MIB - 16)));
  });
}

await t.test('a long read gives up its memory while bytes are fetched again', async (test) => {
  const fake = new FakeExport(SIZE);
  const memory = new LargeMemory(undefined, 2 * MIB);
  const again = deferred();
  let isEvicted = false;
  fake.onEnsure = () => (isEvicted ? again.promise : null);
  fake.onRead = ({ offset }) => {
    if (offset >= MIB && fake.reads.length < 4) isEvicted = true;
    return offset < MIB || !isEvicted;
  };
  const harness = connect(fake, 'simple', memory);
  harness.ask({ cookie: 1n, offset: 0, length: 2 * MIB - 16 });
  await harness.settle();
  test.ok(isEvicted);
  const other = connect(new FakeExport(SIZE), 'simple', memory);
  other.ask({ cookie: 2n, offset: 0, length: 2 * MIB - 16 });
  await other.settle();
  test.equal(other.answers().length, 1, 'other clients use the memory meanwhile');
  isEvicted = false;
  again.resolve();
  await harness.settle();
  test.ok(harness.answers()[0]?.data.equals(bytesAt(0, 2 * MIB - 16)));
});

await t.test('a hang-up when a long reply is complete frees the memory', async (test) => {
  const fake = new FakeExport(SIZE);
  const memory = new LargeMemory(undefined, 2 * MIB);
  const gone = connect(fake, 'simple', memory);
  gone.room = 0;
  gone.ask({ cookie: 1n, offset: 0, length: 2 * MIB - 16 });
  gone.pump();
  while (!gone.woken) await new Promise(setImmediate);
  gone.close();
  const next = connect(fake, 'simple', memory);
  next.ask({ cookie: 2n, offset: 0, length: 2 * MIB - 16 });
  await next.settle();
  test.equal(next.answers().length, 1, 'the memory is free again');
});
