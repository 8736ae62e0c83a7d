// Reads that wait for a network: they can be answered elsewhere, or be given up.
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { NBD_EIO } from '../../../daemon/nbd/constants.js';
import { LargeMemory } from '../../../daemon/nbd/large-memory.js';
import { ReadWaits } from '../../../daemon/nbd/read-waits.js';
import type { ReplyForm } from '../../../daemon/nbd/session.js';
import { FakeExport, bytesAt, slowExport } from './fake-export.js';
import { Harness } from './transmission-harness.js';
import { deferred } from '../../support/deferred.js';

const FORMS: readonly ReplyForm[] = ['simple', 'structured', 'extended'];
const MIB = 1 << 20;
const SIZE = 64 << 20;

const connect = (fake: FakeExport, form: ReplyForm): Harness =>
  new Harness(fake, new LargeMemory(), { form, contexts: [] });

const cookies = (harness: Harness): bigint[] => harness.answers().map(({ cookie }) => cookie);

for (const form of FORMS) {
  await t.test(`${form}: reads that wait for a network are answered elsewhere`, async (test) => {
    const { fake, waits } = slowExport(SIZE);
    const harness = connect(fake, form);
    const asked = [10, 4096, MIB].map((length, i) => ({
      cookie: BigInt(i + 7),
      offset: i,
      length,
    }));
    for (const each of asked) harness.ask(each);
    await harness.settle();
    test.notOk(harness.transmission.atRest, 'it is not paused');
    harness.transmission.pause(true);
    test.ok(harness.transmission.atRest);
    const bytes = harness.transmission.recall();
    test.equal(harness.transmission.inFlight, 0);
    for (const each of waits.values()) each.resolve();
    await harness.settle();
    test.equal(harness.takenBytes, 0, 'what arrives here later is not answered');

    const other = connect(new FakeExport(SIZE), form);
    for (const each of asked) other.expect(each);
    other.feed(Buffer.from(bytes));
    await other.settle();
    const answers = new Map(other.answers().map((each) => [each.cookie, each]));
    for (const { cookie, offset, length } of asked) {
      test.ok(answers.get(cookie)?.data.equals(bytesAt(offset, length)), `${length} bytes`);
    }
  });

  await t.test(`${form}: a read that waits for a disk keeps its connection here`, async (test) => {
    const fake = new FakeExport(SIZE);
    const [network, disk] = [deferred(), deferred()];
    fake.onEnsure = (offset) => (offset === 0 ? network.promise : null);
    fake.onRead = ({ loaded }) => loaded;
    fake.onLoad = () => disk.promise;
    const harness = connect(fake, form);
    harness.ask({ cookie: 1n, offset: 0, length: 10 });
    harness.ask({ cookie: 2n, offset: 1000, length: 10 });
    await harness.settle();
    harness.transmission.pause(true);
    test.notOk(harness.transmission.atRest);
    disk.resolve();
    await harness.settle();
    test.same(cookies(harness), [2n]);
    test.ok(harness.transmission.atRest);
  });

  await t.test(
    `${form}: at the end of its time a read that waits for a network fails`,
    async (test) => {
      const { fake, waits } = slowExport(SIZE);
      const harness = connect(fake, form);
      for (const offset of [0, 1000]) harness.ask({ cookie: BigInt(offset), offset, length: 10 });
      await harness.settle();
      harness.transmission.failParked(() => new Error('the daemon stops'));
      harness.wake();
      await harness.settle();
      test.match(harness.answers(), [
        { cookie: 0n, error: NBD_EIO },
        { cookie: 1000n, error: NBD_EIO },
      ]);
      for (const each of waits.values()) each.resolve();
      await harness.settle();
      test.equal(harness.answers().length, 2, 'each once');
      test.match(harness.failures, [{ error: { message: 'the daemon stops' } }, {}]);
      test.equal(harness.transmission.inFlight, 0);
    },
  );
}

await t.test('when the client is gone, none of its reads counts as waiting', async (test) => {
  const { fake, waits: bytes } = slowExport(SIZE);
  const { name, description, blockSizes } = fake;
  const waits = new ReadWaits();
  const served = { name, description, blockSizes, disk: fake, waits };
  const session = { form: 'simple', contexts: [] } as const;
  const harness = new Harness(fake, new LargeMemory(), session, served);
  for (const offset of [0, 1000]) {
    harness.ask({ cookie: BigInt(offset), offset, length: 10 });
  }
  await harness.settle();
  test.equal(waits.parked, 2);
  bytes.get(0)?.reject(new Error('registry gone'));
  await turn();
  test.equal(waits.parked, 2, 'the error waits for its turn, the other read for its bytes');
  harness.close();
  test.same([waits.waiting, waits.parked, waits.oldestMs], [0, 0, 0]);
  bytes.get(1000)?.resolve();
  await turn();
  test.same([waits.waiting, waits.remote.count], [0, 0], 'neither has had an answer');
});
