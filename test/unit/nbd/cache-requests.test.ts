// NBD_CMD_CACHE: succeeds once the bytes are near, goes in slices, and never sends data; failures and hang-ups.
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { EXTENT_DATA, EXTENT_HOLE, EXTENT_ZEROED } from '../../../daemon/lib/extent-list.js';
import { NBD_CMD, NBD_CMD_FLAG, NBD_EINVAL, NBD_EIO } from '../../../daemon/nbd/constants.js';
import { LargeMemory } from '../../../daemon/nbd/large-memory.js';
import { MAX_IN_FLIGHT, PREFETCH_LENGTH } from '../../../daemon/nbd/limits.js';
import type { ReplyForm } from '../../../daemon/nbd/session.js';
import { FakeExport, bytesAt } from './fake-export.js';
import { Harness } from './transmission-harness.js';
import { deferred, type Deferred } from '../../support/deferred.js';

const MIB = 1 << 20;
const SIZE = 64 * MIB;
const CACHE = NBD_CMD.CACHE;
const FORMS: readonly ReplyForm[] = ['simple', 'structured', 'extended'];

function start(form: ReplyForm, fake: FakeExport): Harness {
  return new Harness(fake, new LargeMemory(), { form, contexts: [] });
}

/** Lets promises and timers run until the condition holds. */
async function settledIn(harness: Harness, isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + 120_000; ; await pause(1)) {
    await harness.settle();
    if (isSo()) return;
    if (performance.now() > end) throw new Error('it did not come in time');
  }
}

for (const form of FORMS) {
  await t.test(`${form}: NBD_CMD_CACHE is answered when all bytes are near`, async (test) => {
    const fake = new FakeExport(SIZE);
    const [network, disk] = [deferred(), deferred()];
    const ensured: [number, number][] = [];
    fake.onEnsure = (offset, length) => {
      ensured.push([offset, length]);
      return offset === 700 ? network.promise : null;
    };
    fake.onLoad = () => disk.promise;
    const harness = start(form, fake);
    harness.ask({ type: CACHE, cookie: 1n, offset: 700, length: 9 });
    harness.ask({ cookie: 2n, offset: 5, length: 5 });
    await harness.settle();
    test.match(harness.answers(), [{ cookie: 2n, data: bytesAt(5, 5) }]);
    test.same(fake.prefetches, [], 'the disk is read ahead after the fetch over the network');
    network.resolve();
    await harness.settle();
    test.same(fake.prefetches, [[700, 9]]);
    test.same(fake.loads, [[708, 1]], 'only the last byte is waited for');
    test.equal(harness.answers().length, 1);
    test.equal(harness.transmission.inFlight, 1);
    disk.resolve();
    await harness.settle();
    const [, done, ...none] = harness.answers();
    test.match(done, { cookie: 1n, error: 0, pieces: [] });
    test.same(none, []);
    test.same(ensured, [
      [5, 5],
      [700, 9],
    ]);
    test.equal(fake.reads.length, 1, 'NBD_CMD_CACHE reads nothing itself');
    test.equal(harness.transmission.inFlight, 0);
  });

  await t.test(`${form}: a long NBD_CMD_CACHE is done in pieces, in order`, async (test) => {
    const fake = new FakeExport(SIZE);
    const waits: Deferred[] = [];
    fake.onLoad = () => {
      const wait = deferred();
      waits.push(wait);
      return wait.promise;
    };
    const harness = start(form, fake);
    harness.ask({ type: CACHE, cookie: 1n, offset: 3, length: 2 * PREFETCH_LENGTH + 1 });
    for (let i = 1; i <= 3; i++) {
      await settledIn(harness, () => waits.length === i);
      test.equal(harness.answers().length, 0);
      waits.at(-1)?.resolve();
    }
    await settledIn(harness, () => harness.answers().length === 1);
    test.same(fake.prefetches, [
      [3, PREFETCH_LENGTH],
      [3 + PREFETCH_LENGTH, PREFETCH_LENGTH],
      [3 + 2 * PREFETCH_LENGTH, 1],
    ]);
    test.match(harness.answers(), [{ error: 0 }]);
    fake.onLoad = () => Promise.resolve();
    harness.ask({ type: CACHE, cookie: 2n, offset: 0, length: SIZE });
    await settledIn(harness, () => harness.answers().length === 2);
    test.match(
      harness.answers().at(-1),
      { cookie: 2n, error: 0 },
      'the range may be longer than a read may be',
    );
  });

  await t.test(`${form}: NBD_CMD_CACHE skips zeros`, async (test) => {
    const fake = new FakeExport(2 ** 50);
    fake.grain = 2 ** 48;
    fake.kindAt = (offset) => (offset === 2 ** 49 ? EXTENT_DATA : EXTENT_HOLE);
    const harness = start(form, fake);
    harness.ask({ type: CACHE, cookie: 1n, offset: 2 ** 49 - 1000, length: 1000 });
    harness.ask({
      type: CACHE,
      cookie: 2n,
      offset: 0,
      length: form === 'extended' ? 2 ** 49 : 2 ** 31,
    });
    await settledIn(harness, () => harness.answers().length === 2);
    test.match(harness.answers(), [{ error: 0 }, { error: 0 }]);
    test.same(fake.prefetches, []);
    test.ok(fake.extentCalls < 20);
    fake.grain = 512;
    fake.kindAt = (offset) => (offset < 2048 ? EXTENT_ZEROED : EXTENT_DATA);
    harness.ask({ type: CACHE, cookie: 3n, offset: 700, length: 2000 });
    await settledIn(harness, () => harness.answers().length === 3);
    test.same(fake.prefetches, [[2048, 652]], 'the data after the zeros is fetched');
  });

  await t.test(
    `${form}: a piece of NBD_CMD_CACHE has few extents, and leaves out zeros at its ends`,
    async (test) => {
      const fake = new FakeExport(SIZE);
      fake.kindAt = (offset) => (Math.floor(offset / 512) % 2 === 0 ? EXTENT_HOLE : EXTENT_DATA);
      const harness = start(form, fake);
      harness.ask({ type: CACHE, cookie: 1n, offset: 0, length: 130 * 512 });
      await settledIn(harness, () => harness.answers().length === 1);
      test.same(fake.prefetches, [
        [512, 63 * 512],
        [65 * 512, 63 * 512],
        [129 * 512, 512],
      ]);
    },
  );

  await t.test(`${form}: a hang-up ends a running NBD_CMD_CACHE`, async (test) => {
    const fake = new FakeExport(SIZE);
    const disk = deferred();
    fake.onLoad = () => disk.promise;
    const harness = start(form, fake);
    harness.ask({ type: CACHE, cookie: 1n, offset: 0, length: SIZE });
    harness.ask({ type: CACHE, cookie: 2n, offset: 512, length: SIZE - 512 });
    await settledIn(harness, () => fake.loads.length === 1);
    harness.close();
    harness.woken = false;
    disk.resolve();
    await pause(50);
    test.equal(fake.loads.length, 1, 'the rest is not fetched');
    test.notOk(harness.woken, 'the closed connection is not woken');
    test.equal(harness.failures.length, 0, 'no failure is reported either');
    test.equal(harness.outbox.unsent, 0);
    const other = start(form, fake);
    other.ask({ type: CACHE, cookie: 1n, offset: 0, length: 1 });
    await settledIn(other, () => other.answers().length === 1);
    test.match(other.answers(), [{ error: 0 }], 'the next client gets the turn');
  });

  await t.test(`${form}: a failed NBD_CMD_CACHE is answered with its error`, async (test) => {
    const fake = new FakeExport(SIZE);
    const harness = start(form, fake);
    const broken = new Error('/secret/path is gone');
    const length = 2 * PREFETCH_LENGTH;
    const failures: Partial<FakeExport>[] = [
      { onLoad: () => Promise.reject(broken) },
      {
        onLoad: (offset) => (offset > PREFETCH_LENGTH ? Promise.reject(broken) : Promise.resolve()),
      },
      { onEnsure: () => Promise.reject(broken) },
      {
        onEnsure: () => {
          throw broken;
        },
      },
    ];
    for (const [i, how] of failures.entries()) {
      fake.onLoad = () => Promise.resolve();
      Object.assign(fake, how);
      harness.ask({ type: CACHE, cookie: BigInt(i), offset: 1, length });
      await settledIn(harness, () => harness.answers().length === i + 1);
      const answers = harness.answers();
      test.match(answers[i], { cookie: BigInt(i), error: NBD_EIO });
      test.notMatch(answers[i]?.message, 'secret');
      test.match(harness.failures[i], { error: broken, request: { offset: 1, length } });
    }
    fake.onEnsure = () => null;
    fake.onLoad = () => Promise.resolve();
    harness.ask({ type: CACHE, cookie: 9n, offset: 1, length: 1 });
    await settledIn(harness, () => harness.answers().length === failures.length + 1);
    test.match(harness.answers().at(-1), { cookie: 9n, error: 0 }, 'the next request works');
    test.equal(harness.transmission.inFlight, 0);
  });

  await t.test(`${form}: many NBD_CMD_CACHE are done one piece at a time`, async (test) => {
    const fake = new FakeExport(SIZE);
    let running = 0;
    let most = 0;
    fake.onLoad = async () => {
      most = Math.max(most, ++running);
      await pause(1);
      running--;
    };
    const harnesses = Array.from({ length: 5 }, () => start(form, fake));
    for (const harness of harnesses) {
      for (let i = 0; i < 30; i++) {
        harness.ask({ type: CACHE, cookie: BigInt(i), offset: i * 1000, length: 1000 });
      }
    }
    const first = harnesses[0] as Harness;
    for (const harness of harnesses) harness.pump();
    await settledIn(first, () => first.answers().length === 30);
    const others = harnesses.slice(1);
    for (const harness of others) await settledIn(harness, () => harness.answers().length === 30);
    test.equal(most, 1);
    test.equal(fake.prefetches.length, 150);
  });

  await t.test(`${form}: ranges and flags of NBD_CMD_CACHE are checked`, async (test) => {
    const fake = new FakeExport(SIZE);
    const harness = start(form, fake);
    const asked: [number, number, number, number][] = [
      [0, 0, 0, 0],
      [SIZE, 0, 0, 0],
      [SIZE - 1, 1, NBD_CMD_FLAG.FUA, 0],
      [SIZE, 1, 0, NBD_EINVAL],
      [1, SIZE, 0, NBD_EINVAL],
      [2 ** 60, 1, 0, NBD_EINVAL],
      [0, 1, NBD_CMD_FLAG.DF, NBD_EINVAL],
      [0, 1, NBD_CMD_FLAG.REQ_ONE, NBD_EINVAL],
    ];
    for (const [i, [offset, length, flags, error]] of asked.entries()) {
      harness.ask({ type: CACHE, cookie: BigInt(i), offset, length, flags });
      await settledIn(harness, () => harness.answers().length === i + 1);
      test.match(harness.answers().at(-1), { cookie: BigInt(i), error }, `${offset}+${length}`);
    }
    test.same(fake.prefetches, [[SIZE - 1, 1]]);
  });

  await t.test(`${form}: NBD_CMD_DISC waits for NBD_CMD_CACHE`, async (test) => {
    const fake = new FakeExport(SIZE);
    const disk = deferred();
    fake.onLoad = () => disk.promise;
    const harness = start(form, fake);
    const count = MAX_IN_FLIGHT + 5;
    for (let i = 0; i < count; i++) {
      harness.ask({ type: CACHE, cookie: BigInt(i), offset: i, length: 1 });
    }
    harness.ask({ type: NBD_CMD.DISC });
    await harness.settle();
    test.equal(harness.transmission.inFlight, MAX_IN_FLIGHT);
    test.equal(fake.loads.length, 1);
    disk.resolve();
    await settledIn(harness, () => harness.answers().length === count);
    test.equal(harness.transmission.state, 'done');
    test.equal(harness.answers().length, count);
  });
}
