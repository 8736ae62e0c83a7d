// Short reads of a disk that may have to fetch bytes: tried first, as a whole or not at all, before `ensure` is called.
import t from 'tap';
import { NBD_EIO } from '../../../daemon/nbd/constants.js';
import { LargeMemory } from '../../../daemon/nbd/large-memory.js';
import type { ReplyForm } from '../../../daemon/nbd/session.js';
import { EXTENT_DATA, EXTENT_HOLE } from '../../../daemon/lib/extent-list.js';
import { FakeExport, bytesAt } from './fake-export.js';
import { Harness } from './transmission-harness.js';
import { deferred, type Deferred } from '../../support/deferred.js';

const FORMS: readonly ReplyForm[] = ['simple', 'structured', 'extended'];
const KIB = 1024;

/** Has the first MiB; `fetched` resolves when the rest is there. */
class RemoteExport extends FakeExport {
  readonly isRemote = true;
  ensured: [number, number][] = [];
  fetched: Deferred = deferred();
  isFetched = false;

  constructor() {
    super(4 << 20);
    const isHere = (offset: number, length: number): boolean =>
      this.isFetched || offset + length <= 1 << 20;
    this.onRead = ({ offset, length }) => isHere(offset, length);
    this.onEnsure = (offset, length) => {
      this.ensured.push([offset, length]);
      return isHere(offset, length) ? null : this.fetched.promise;
    };
  }

  arrive(): void {
    this.isFetched = true;
    this.fetched.resolve();
  }
}

function world(form: ReplyForm): { fake: RemoteExport; harness: Harness } {
  const fake = new RemoteExport();
  return { fake, harness: new Harness(fake, new LargeMemory(), { form, contexts: [] }) };
}

for (const form of FORMS) {
  await t.test(`${form}: bytes that are here are read without a question`, async (test) => {
    const { fake, harness } = world(form);
    harness.ask({ cookie: 1n, offset: 512, length: 4 * KIB });
    harness.ask({ cookie: 2n, offset: 0, length: 256 * KIB });
    await harness.settle();
    test.same(fake.ensured, []);
    const [first, second] = harness.answers();
    test.ok(first?.data.equals(bytesAt(512, 4 * KIB)));
    test.ok(second?.data.equals(bytesAt(0, 256 * KIB)));
  });

  await t.test(`${form}: bytes that are not here are asked for once, and wait`, async (test) => {
    const { fake, harness } = world(form);
    harness.ask({ cookie: 1n, offset: 2 << 20, length: 4 * KIB });
    await harness.settle();
    test.same(fake.ensured, [[2 << 20, 4 * KIB]]);
    test.equal(harness.takenBytes, 0);
    fake.arrive();
    await harness.settle();
    test.ok(harness.answers()[0]?.data.equals(bytesAt(2 << 20, 4 * KIB)));
    test.equal(fake.ensured.length, 1);
  });

  await t.test(`${form}: bytes that only a disk has are loaded after one try`, async (test) => {
    const { fake, harness } = world(form);
    fake.isFetched = true;
    fake.onRead = ({ loaded }) => loaded;
    harness.ask({ cookie: 1n, offset: 2 << 20, length: 4 * KIB });
    await harness.settle();
    test.ok(harness.answers()[0]?.data.equals(bytesAt(2 << 20, 4 * KIB)));
    test.same(fake.loads, [[2 << 20, 4 * KIB]]);
    test.same(
      fake.reads.map(({ loaded }) => loaded),
      [false, true],
    );
  });

  await t.test(`${form}: nothing of a read is sent while a part of it is missing`, async (test) => {
    const { fake, harness } = world(form);
    // A hole, data that are here, a hole, and data that are not.
    fake.grain = KIB;
    fake.kindAt = (offset) => ((offset / KIB) % 2 < 1 ? EXTENT_HOLE : EXTENT_DATA);
    const read = { cookie: 1n, offset: (1 << 20) - 8 * KIB, length: 16 * KIB };
    harness.expect(read);
    harness.ask(read);
    await harness.settle();
    test.equal(harness.takenBytes, 0);
    harness.transmission.pause(true);
    test.ok(harness.transmission.atRest, 'so another process can answer it');
    harness.transmission.pause(false);
    fake.arrive();
    await harness.settle();
    const data = harness.answers()[0]?.data;
    test.ok(data?.equals(fake.contents(read.offset, read.length)));
  });

  await t.test(`${form}: bytes that cannot be read are one error`, async (test) => {
    const { fake, harness } = world(form);
    fake.onRead = () => {
      throw new Error('broken');
    };
    harness.ask({ cookie: 1n, offset: 0, length: 4 * KIB });
    await harness.settle();
    const answers = harness.answers();
    test.same([answers.length, answers[0]?.error], [1, NBD_EIO]);
  });
}
