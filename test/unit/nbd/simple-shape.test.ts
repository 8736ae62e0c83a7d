// Long reads with simple replies: in slices, one at a time, within their thread's memory budget; eviction of holders.
import t, { type Test } from 'tap';
import { NBD_CMD, NBD_EIO, NBD_ENOMEM } from '../../../daemon/nbd/constants.js';
import { LargeMemory, type LargeMemoryUser } from '../../../daemon/nbd/large-memory.js';
import { MAX_INLINE_LENGTH, MAX_REQUEST_LENGTH } from '../../../daemon/nbd/limits.js';
import type { SendBuffer } from '../../../daemon/nbd/outbox.js';
import { tick } from '../../support/nbd-client.js';
import { FakeExport, bytesAt } from './fake-export.js';
import { Harness } from './transmission-harness.js';
import { monotonicMs } from '../../../daemon/lib/clock.js';
import { deferred } from '../../support/deferred.js';

const SIZE = 48 << 20;
const MIB = 1 << 20;
const SLICE = 512 * 1024;

/** Runs event loop turns until the condition holds, or the test fails. */
async function until(test: Test, what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (condition()) return;
    await tick(10);
  }
  test.fail(`not reached: ${what}`);
}

await t.test('reads around the length limits have the right slices', async (test) => {
  const fake = new FakeExport(SIZE);
  for (const [length, slices] of [
    [MAX_INLINE_LENGTH, 1],
    [MAX_INLINE_LENGTH + 1, 1],
    [SLICE, 1],
    [SLICE + 1, 2],
    [3 * MIB + 7, 7],
    [MAX_REQUEST_LENGTH, 64],
  ] as const) {
    const harness = new Harness(fake);
    fake.reads.length = 0;
    harness.ask({ cookie: 5n, offset: 12345, length });
    await harness.settle();
    const [answer, ...none] = harness.answers();
    test.same(none, []);
    test.equal(answer?.error, 0);
    test.ok(answer?.data.equals(bytesAt(12345, length)), `${length} bytes`);
    test.equal(fake.reads.length, slices, `${slices} slices`);
    test.ok(fake.reads.every((read) => read.length <= SLICE));
    test.equal(harness.outbox.unsent, 0);
    test.equal(harness.transmission.inFlight, 0);
  }
});

/** Counts requests for memory. */
class CountingMemory extends LargeMemory {
  asked = 0;

  override acquire(size: number, user: LargeMemoryUser): Promise<SendBuffer> {
    this.asked++;
    return super.acquire(size, user);
  }
}

await t.test(
  'only reads over the limit have memory of their own, one after the other',
  async (test) => {
    const memory = new CountingMemory();
    const harness = new Harness(new FakeExport(SIZE), memory);
    harness.ask({ cookie: 1n, offset: 0, length: MAX_INLINE_LENGTH });
    await harness.settle();
    test.equal(memory.asked, 0);
    harness.room = 0;
    harness.ask({ cookie: 2n, offset: 0, length: MAX_INLINE_LENGTH + 1 });
    harness.ask({ cookie: 3n, offset: 0, length: MAX_INLINE_LENGTH + 1 });
    await harness.settle();
    test.equal(memory.asked, 1, 'the second read waits until the client has taken the first');
    harness.room = Infinity;
    await harness.settle();
    test.equal(memory.asked, 2);
    test.same(
      harness.answers().map(({ cookie }) => cookie),
      [1n, 2n, 3n],
    );
  },
);

await t.test('short reads after a long one do not wait for it', async (test) => {
  const harness = new Harness(new FakeExport(SIZE));
  harness.ask({ cookie: 1n, offset: 0, length: 32 * MIB });
  harness.ask({ cookie: 2n, offset: 0, length: 4096 });
  await harness.settle();
  test.same(
    harness.answers().map(({ cookie }) => cookie),
    [2n, 1n],
  );
});

await t.test('slices that must be waited for or that fail', async (test) => {
  const fake = new FakeExport(SIZE);
  const harness = new Harness(fake);
  fake.onRead = ({ offset, loaded }) => loaded || offset % MIB !== 0;
  const wait = deferred();
  fake.onEnsure = () => wait.promise;
  harness.ask({ cookie: 1n, offset: 0, length: 4 * MIB });
  await harness.settle();
  test.equal(harness.answers().length, 0);
  fake.onEnsure = () => null;
  wait.resolve();
  await harness.settle();
  test.ok(harness.answers()[0]?.data.equals(bytesAt(0, 4 * MIB)));

  const broken = new Error('block is broken');
  fake.onRead = ({ offset }) => {
    if (offset >= 2 * MIB) throw broken;
    return true;
  };
  fake.onEnsure = () => null;
  harness.ask({ cookie: 2n, offset: 0, length: 4 * MIB });
  harness.ask({ cookie: 3n, offset: 0, length: 2 * MIB });
  await harness.settle();
  const [, failed, next] = harness.answers();
  test.match(failed, { cookie: 2n, error: NBD_EIO });
  test.equal(failed?.data.length, 0, 'the readable part is not sent');
  test.match(next, { cookie: 3n, error: 0 });
  test.ok(next?.data.equals(bytesAt(0, 2 * MIB)));
  test.equal(harness.failures.length, 1);
  test.match(harness.failures[0], { error: broken, request: { offset: 0, length: 4 * MIB } });

  fake.onRead = () => {
    throw undefined; // eslint-disable-line
  };
  harness.ask({ cookie: 4n, offset: 0, length: MIB });
  await harness.settle();
  test.match(harness.answers().at(-1), { cookie: 4n, error: NBD_EIO }, 'also without a reason');
});

await t.test('a client has one unsent long reply at a time', async (test) => {
  const fake = new FakeExport(SIZE);
  const harness = new Harness(fake);
  harness.room = 0;
  for (let i = 0; i < 3; i++) harness.ask({ cookie: BigInt(i), offset: i, length: 32 * MIB });
  await harness.settle();
  test.equal(harness.outbox.unsent, 16 + 32 * MIB);
  test.equal(fake.reads.length, 64, 'the second read did not begin');
  harness.room = 20 * MIB;
  await harness.settle();
  test.equal(fake.reads.length, 64);
  harness.room = Infinity;
  await harness.settle();
  const answers = harness.answers();
  test.equal(answers.length, 3);
  test.ok(answers.every(({ cookie, data }) => data.equals(bytesAt(Number(cookie), 32 * MIB))));
});

await t.test('NBD_CMD_DISC and hang-up during long reads', async (test) => {
  const fake = new FakeExport(SIZE);
  const polite = new Harness(fake);
  polite.ask({ cookie: 1n, offset: 0, length: 4 * MIB });
  polite.ask({ cookie: 2n, offset: 1, length: 4 * MIB });
  polite.ask({ type: NBD_CMD.DISC });
  await polite.settle();
  test.equal(polite.transmission.state, 'done');
  test.equal(polite.answers().length, 2);

  const memory = new LargeMemory(undefined, 4 * MIB);
  const gone = new Harness(fake, memory);
  const wait = deferred();
  fake.onEnsure = () => wait.promise;
  gone.ask({ cookie: 1n, offset: 0, length: 3 * MIB });
  await gone.settle();
  gone.close();
  wait.resolve();
  fake.onEnsure = () => null;
  const next = new Harness(fake, memory);
  next.ask({ cookie: 2n, offset: 0, length: 3 * MIB });
  await next.settle();
  test.equal(next.answers().length, 1, 'the memory of the closed connection is free again');
});

await t.test('long reads wait for the budget in order', async (test) => {
  const fake = new FakeExport(SIZE);
  const memory = new LargeMemory(undefined, 8 * MIB, 60_000);
  const clients = [0, 1, 2].map(() => new Harness(fake, memory));
  const [first, second, third] = clients as [Harness, Harness, Harness];
  first.room = 0;
  first.ask({ cookie: 1n, offset: 0, length: 5 * MIB });
  await first.settle();
  second.ask({ cookie: 2n, offset: 0, length: 4 * MIB });
  await second.settle();
  third.ask({ cookie: 3n, offset: 0, length: MIB });
  await third.settle();
  test.equal(second.answers().length, 0, '5 + 4 are over 8');
  test.equal(third.answers().length, 0, 'a small read does not overtake');
  second.ask({ cookie: 4n, offset: 0, length: 1000 });
  await second.settle();
  test.equal(second.answers().length, 1, 'short reads need no budget');
  first.room = Infinity;
  await first.settle();
  await second.settle();
  await third.settle();
  test.equal(second.answers().length, 2);
  test.equal(third.answers().length, 1);
  for (const client of clients) test.ok(client.answers().every(({ error }) => error === 0));
});

await t.test('a short read that is evicted again and again needs no budget', async (test) => {
  const fake = new FakeExport(SIZE);
  const memory = new CountingMemory(undefined, MIB, 60_000);
  const [stuck, reader] = [new Harness(fake, memory), new Harness(fake, memory)];
  stuck.room = 0;
  stuck.ask({ cookie: 1n, offset: 0, length: MIB - 16 });
  await stuck.settle();
  test.equal(memory.asked, 1, 'it holds all of the budget, and reads nothing');
  let evictions = 5;
  fake.onRead = () => evictions-- <= 0;
  reader.ask({ cookie: 2n, offset: 7, length: MAX_INLINE_LENGTH });
  await reader.settle();
  test.match(reader.answers(), [{ cookie: 2n, error: 0 }]);
  test.equal(memory.asked, 1);
});

await t.test('a reply larger than the whole budget is made alone', async (test) => {
  const harness = new Harness(new FakeExport(SIZE), new LargeMemory(undefined, MIB));
  harness.ask({ cookie: 1n, offset: 0, length: 4 * MIB });
  harness.ask({ cookie: 2n, offset: 0, length: 4 * MIB });
  await harness.settle();
  test.equal(harness.answers().length, 2);
});

await t.test('a stalled holder of memory is evicted only if others wait', async (test) => {
  const fake = new FakeExport(SIZE);
  const memory = new LargeMemory(undefined, 4 * MIB, 500);
  const [stuck, slow] = [new Harness(fake, memory), new Harness(fake, memory)];
  stuck.room = slow.room = 0;
  for (const each of [stuck, slow]) {
    each.ask({ cookie: 1n, offset: 0, length: 2 * MIB - 16 });
    await each.settle();
  }
  stuck.stalled = monotonicMs() - 100_000;
  await tick(1200);
  test.notOk(stuck.evicted, 'no other read waits');
  const waiter = new Harness(fake, memory);
  const keepAlive = setInterval(() => undefined, 100); // the check itself does not keep a process alive
  waiter.ask({ cookie: 2n, offset: 7, length: MIB });
  await waiter.settle();
  test.equal(waiter.answers().length, 0);
  slow.stalled = monotonicMs() + 100_000;
  await until(test, 'evicted', () => stuck.evicted);
  await waiter.settle();
  clearInterval(keepAlive);
  test.notOk(slow.evicted, 'a client that has just taken bytes is not evicted');
  test.ok(waiter.answers()[0]?.data.equals(bytesAt(7, MIB)));
});

await t.test('no more holders are evicted than needed, the longest stalled first', async (test) => {
  const fake = new FakeExport(SIZE);
  const memory = new LargeMemory(undefined, 4 * MIB, 500);
  const holders = [new Harness(fake, memory), new Harness(fake, memory)] as const;
  for (const [i, each] of holders.entries()) {
    each.room = 0;
    each.ask({ cookie: 1n, offset: 0, length: 2 * MIB - 16 });
    await each.settle();
    each.stalled = monotonicMs() - 50_000 * (i + 1);
  }
  const waiter = new Harness(fake, memory);
  const keepAlive = setInterval(() => undefined, 100);
  waiter.ask({ cookie: 2n, offset: 0, length: MIB });
  await waiter.settle();
  await until(test, 'answered', () => waiter.woken || waiter.answers().length > 0);
  await waiter.settle();
  clearInterval(keepAlive);
  test.equal(waiter.answers().length, 1);
  test.same(
    holders.map(({ evicted }) => evicted),
    [false, true],
  );
});

await t.test('a read that waits for memory is forgotten if its client hangs up', async (test) => {
  const fake = new FakeExport(SIZE);
  const memory = new LargeMemory(undefined, 4 * MIB);
  const [holder, leaver, last] = [0, 1, 2].map(() => new Harness(fake, memory)) as [
    Harness,
    Harness,
    Harness,
  ];
  holder.room = 0;
  holder.ask({ cookie: 1n, offset: 0, length: 2 * MIB });
  await holder.settle();
  leaver.ask({ cookie: 1n, offset: 0, length: 4 * MIB });
  last.ask({ cookie: 1n, offset: 0, length: MIB });
  await leaver.settle();
  await last.settle();
  test.equal(last.answers().length, 0);
  leaver.close();
  await last.settle();
  test.equal(last.answers().length, 1);
});

await t.test(
  'memory that cannot be allocated is NBD_ENOMEM, and the next read gets its turn',
  async (test) => {
    let isShort = true;
    class ShortMemory extends LargeMemory {
      override acquire(size: number, user: LargeMemoryUser): Promise<SendBuffer> {
        if (!isShort) return super.acquire(size, user);
        return Promise.reject(new RangeError('Array buffer allocation failed'));
      }
    }
    const memory = new ShortMemory(undefined, 8 * MIB);
    const harness = new Harness(new FakeExport(SIZE), memory);
    harness.ask({ cookie: 1n, offset: 0, length: 2 * MIB });
    await harness.settle();
    isShort = false;
    harness.ask({ cookie: 2n, offset: 0, length: 2 * MIB });
    await harness.settle();
    test.match(harness.answers(), [{ error: NBD_ENOMEM }, { cookie: 2n, error: 0 }]);
  },
);
