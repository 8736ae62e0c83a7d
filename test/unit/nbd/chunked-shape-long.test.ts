// Reads of more than 256 KiB with structured and extended replies: in pieces, in turns, bounded, and abandoned.
import t from 'tap';
import { EXTENT_DATA, EXTENT_HOLE } from '../../../daemon/lib/extent-list.js';
import { NBD_CMD, NBD_CMD_FLAG, NBD_EIO } from '../../../daemon/nbd/constants.js';
import {
  MAX_BYTES_PER_TURN,
  MAX_INLINE_LENGTH,
  MAX_IN_FLIGHT,
  MAX_REQUEST_LENGTH,
  MAX_UNSENT_BYTES,
} from '../../../daemon/nbd/limits.js';
import { usualOrLong } from '../../support/long-tests.js';
import { FakeExport, bytesAt } from './fake-export.js';
import { CHUNKED_FORMS, Harness } from './transmission-harness.js';
import { deferred, type Deferred } from '../../support/deferred.js';

const MIB = 1 << 20;
const SIZE = 48 * MIB;
/** A piece with its header and the offset before the data. */
const CHUNK = MAX_INLINE_LENGTH + 40;

const cookies = (harness: Harness): bigint[] => harness.answers().map(({ cookie }) => cookie);

for (const form of CHUNKED_FORMS) {
  await t.test(`${form}: a read of any length arrives complete, in pieces`, async (test) => {
    const fake = new FakeExport(SIZE);
    for (const [length, pieces] of [
      [MAX_INLINE_LENGTH + 1, 2],
      [MIB, 4],
      [3 * MIB + 7, 13],
      [MAX_REQUEST_LENGTH, 128],
    ] as const) {
      const harness = Harness.chunked(form, fake);
      harness.ask({ cookie: 1n, offset: 12345, length });
      await harness.settle();
      const [answer, ...none] = harness.answers();
      test.same(none, []);
      test.equal(answer?.pieces.length, pieces);
      test.ok(answer?.data.equals(fake.contents(12345, length)), `${length} bytes`);
      test.match(harness.transmission, { inFlight: 0, state: 'hungry' });
    }
  });

  await t.test(`${form}: long and short reads take turns`, async (test) => {
    const harness = Harness.chunked(form, new FakeExport(SIZE));
    harness.ask({ cookie: 1n, offset: 0, length: 8 * MIB });
    harness.ask({ cookie: 2n, offset: MIB, length: 8 * MIB });
    for (let i = 10n; i < 20n; i++) harness.ask({ cookie: i, offset: 0, length: 4096 });
    await harness.settle();
    test.same(cookies(harness), [...Array.from({ length: 10 }, (_, i) => 10n + BigInt(i)), 1n, 2n]);
    const order = harness.chunks().map(({ cookie }) => cookie);
    // A piece, a short read, a piece: no read gets two turns while another waits.
    const longs = order.filter((cookie) => cookie < 10n).slice(1); // the first begins alone
    test.ok(order.indexOf(19n) < 25, `the last short one is number ${order.indexOf(19n)}`);
    for (let i = 0; i < 60; i++) test.not(longs[i], longs[i + 1]);
  });

  await t.test(`${form}: a client that reads slowly pauses a long read`, async (test) => {
    const fake = new FakeExport(SIZE);
    const harness = Harness.chunked(form, fake);
    harness.room = 0;
    for (let i = 0n; i < 6n; i++) harness.ask({ cookie: i, offset: 0, length: 32 * MIB });
    await harness.settle();
    test.ok(harness.outbox.unsent <= MAX_UNSENT_BYTES + CHUNK);
    test.ok(fake.reads.length <= 2, 'at most two pieces are read');
    for (let i = 0; i < 20; i++) {
      harness.room = 300_000;
      await harness.settle();
      if (harness.outbox.unsent > MAX_UNSENT_BYTES + CHUNK) test.fail(`${harness.outbox.unsent}`);
    }
    test.equal(harness.takenBytes, 20 * 300_000);
    const { sends } = harness;
    await harness.settle();
    test.equal(harness.sends, sends, 'the connection does not spin');
    test.equal(harness.transmission.inFlight, 6, 'all requests were accepted meanwhile');
    harness.close();
  });

  await t.test(
    `${form}: a long read does not delay other reads if the client reads slowly`,
    async (test) => {
      const harness = Harness.chunked(form, new FakeExport(SIZE));
      harness.room = 0;
      const slowly = async (): Promise<void> => {
        // The client takes as much at a time as a socket buffer holds.
        for (let i = 0; i < 12; i++) {
          harness.room = 200_000;
          await harness.settle();
        }
      };
      harness.ask({ cookie: 1n, offset: 0, length: 32 * MIB });
      for (let i = 2n; i < 7n; i++) harness.ask({ cookie: i, offset: 0, length: 100 });
      await slowly();
      const done = (): number => harness.chunks().filter(({ cookie }) => cookie > 1n).length;
      test.equal(done(), 5, 'short reads that came with the long one are answered');
      for (let i = 7n; i < 12n; i++) harness.ask({ cookie: i, offset: 0, length: 100 });
      await slowly();
      test.equal(done(), 10, 'short reads that came later are answered');
      test.ok(harness.transmission.inFlight, 'the long read is still running');
      harness.close();
    },
  );

  await t.test(`${form}: one turn makes a bounded number of reply bytes`, async (test) => {
    const harness = Harness.chunked(form, new FakeExport(SIZE));
    harness.ask({ cookie: 1n, offset: 0, length: 32 * MIB });
    harness.pump();
    test.equal(harness.transmission.state, 'busy');
    test.ok(harness.takenBytes + harness.outbox.unsent <= MAX_BYTES_PER_TURN + CHUNK);
    await harness.settle();
    test.equal(harness.answers().length, 1);
  });

  const full = usualOrLong(8, 32);
  await t.test(`${form}: ${full} MiB full of 512-byte holes arrive within limits`, async (test) => {
    const fake = new FakeExport(SIZE);
    fake.kindAt = (offset) => ((offset >> 9) % 2 === 0 ? EXTENT_DATA : EXTENT_HOLE);
    const harness = Harness.chunked(form, fake);
    harness.room = 0;
    harness.ask({ cookie: 1n, offset: 0, length: full * MIB });
    await harness.settle();
    const most = MAX_UNSENT_BYTES + CHUNK;
    test.ok(harness.outbox.unsent <= most);
    for (let i = 0; i < full + 8; i++) {
      harness.room = MIB;
      await harness.settle();
      if (harness.outbox.unsent > most) test.fail(`${harness.outbox.unsent} bytes unsent`);
    }
    const [answer] = harness.answers();
    test.equal(answer?.pieces.length, full * 2048);
    test.ok(answer?.data.equals(fake.contents(0, full * MIB)));
  });

  await t.test(`${form}: a read of 32 MiB of holes sends a few KiB`, async (test) => {
    const fake = new FakeExport(SIZE);
    fake.kindAt = () => EXTENT_HOLE;
    const harness = Harness.chunked(form, fake);
    harness.ask({ cookie: 1n, offset: 5, length: 32 * MIB });
    await harness.settle();
    test.match(harness.answers(), [{ error: 0 }]);
    test.ok(harness.takenBytes < 8192, `${harness.takenBytes} bytes`);
    test.equal(fake.reads.length, 0);
  });

  await t.test(`${form}: pieces are waited for one at a time`, async (test) => {
    const fake = new FakeExport(SIZE);
    const harness = Harness.chunked(form, fake);
    const [network, disk] = [deferred(), deferred()];
    const ensured: number[] = [];
    fake.onEnsure = (offset) => {
      ensured.push(offset);
      return offset === MIB ? network.promise : null;
    };
    fake.onRead = ({ offset, loaded }) => loaded || offset !== 2 * MIB;
    fake.onLoad = (offset) => (offset === 2 * MIB ? disk.promise : Promise.resolve());
    harness.ask({ cookie: 1n, offset: 0, length: 3 * MIB });
    await harness.settle();
    test.equal(
      harness.openAnswers().get(1n)?.pieces.length,
      4,
      'pieces up to the first missing one are sent',
    );
    harness.ask({ cookie: 2n, offset: 5, length: 50 });
    harness.ask({ cookie: 3n, offset: 0, length: MIB });
    await harness.settle();
    test.same(cookies(harness), [2n, 3n], 'short reads do not wait for the long one');
    network.resolve();
    await harness.settle();
    test.equal(harness.openAnswers().get(1n)?.pieces.length, 8);
    test.match(
      fake.loads.at(-1),
      [2 * MIB, MAX_INLINE_LENGTH],
      'one piece is loaded, not the whole rest',
    );
    disk.resolve();
    await harness.settle();
    test.ok(
      harness
        .answers()
        .at(-1)
        ?.data.equals(fake.contents(0, 3 * MIB)),
    );
    test.equal(ensured.filter((offset) => offset === MIB).length, 1, 'each piece is ensured once');
  });

  await t.test(`${form}: a partly cached piece continues after the disk read`, async (test) => {
    const fake = new FakeExport(SIZE);
    // Pieces begin at 100; the hole in the middle of the second piece divides it.
    fake.kindAt = (offset) =>
      offset >= 300 * 1024 && offset < 310 * 1024 ? EXTENT_HOLE : EXTENT_DATA;
    const harness = Harness.chunked(form, fake);
    const disk = deferred();
    fake.onRead = ({ offset, loaded }) => loaded || offset !== 310 * 1024;
    fake.onLoad = () => disk.promise;
    harness.ask({ cookie: 1n, offset: 100, length: MIB });
    await harness.settle();
    const open = harness
      .openAnswers()
      .get(1n)
      ?.pieces.map(({ offset }) => offset);
    test.same(open, [100, 100 + MAX_INLINE_LENGTH, 300 * 1024]);
    test.same(fake.loads, [[310 * 1024, MAX_INLINE_LENGTH]]);
    disk.resolve();
    await harness.settle();
    test.ok(harness.answers()[0]?.data.equals(fake.contents(100, MIB)));
  });

  await t.test(`${form}: a failure in the middle is reported with its offset`, async (test) => {
    const fake = new FakeExport(SIZE);
    fake.onEnsure = (offset) => {
      if (offset >= 5 * MIB) throw new Error('no source');
      return offset >= 4 * MIB ? Promise.reject(new Error('no network')) : null;
    };
    fake.onRead = ({ offset, loaded }) => {
      if (offset >= 3 * MIB) throw new Error('no block');
      return loaded || offset < 2 * MIB;
    };
    fake.onLoad = (offset) =>
      offset >= 2 * MIB ? Promise.reject(new Error('no disk')) : Promise.resolve();
    for (const [from, at] of [
      [MIB + 5, 2 * MIB + 5],
      [2.5 * MIB, 2.5 * MIB],
      [3.5 * MIB, 3.5 * MIB],
      [4.5 * MIB, 4.5 * MIB],
    ] as const) {
      const harness = Harness.chunked(form, fake);
      harness.ask({ cookie: 1n, offset: from, length: 4 * MIB });
      harness.ask({ cookie: 2n, offset: 0, length: MIB });
      await harness.settle();
      const failed = harness.answers().find(({ cookie }) => cookie === 1n);
      test.match(failed, { error: NBD_EIO, errorOffset: at });
      const sent = failed?.pieces.reduce((sum, { length }) => sum + length, 0);
      test.equal(sent, at - from, 'everything before the failure was sent, and nothing after it');
      const other = harness.answers().find(({ cookie }) => cookie === 2n);
      test.ok(other?.data.equals(fake.contents(0, MIB)));
      test.match(harness.failures, [{ request: { offset: from, length: 4 * MIB } }]);
      test.equal(harness.transmission.errors, 1);
    }
  });

  await t.test(`${form}: ensure() that throws for a later piece is NBD_EIO`, async (test) => {
    const fake = new FakeExport(SIZE);
    const harness = Harness.chunked(form, fake);
    fake.onEnsure = (offset) => {
      if (offset >= 2 * MIB && offset < 4 * MIB) throw new Error('gone');
      return null;
    };
    harness.ask({ cookie: 1n, offset: MIB, length: 2 * MIB });
    harness.ask({ cookie: 2n, offset: 8 * MIB, length: 2 * MIB });
    await harness.settle();
    const failed = harness.answers().find(({ cookie }) => cookie === 1n);
    test.match(
      failed,
      { error: NBD_EIO, errorOffset: 2 * MIB },
      'the error has the offset of that piece',
    );
    test.equal(failed?.pieces.length, 4);
  });

  await t.test(`${form}: no more requests are in flight than the limit`, async (test) => {
    const fake = new FakeExport(SIZE);
    fake.kindAt = () => EXTENT_HOLE; // answered at once, after ensure() resolves
    const waits: Deferred[] = [];
    fake.onEnsure = () => {
      const wait = deferred();
      waits.push(wait);
      return wait.promise;
    };
    const harness = Harness.chunked(form, fake);
    const count = MAX_IN_FLIGHT + 20;
    for (let i = 0; i < count; i++) {
      harness.ask({ cookie: BigInt(i), offset: 512 * i, length: MAX_INLINE_LENGTH + 512 });
    }
    await harness.settle();
    test.equal(harness.transmission.inFlight, MAX_IN_FLIGHT);
    test.equal(harness.transmission.state, 'waiting');
    test.equal(
      waits.length,
      2 * MAX_IN_FLIGHT,
      'two ensures a read: the whole range, then the first piece',
    );
    for (let round = 0; round < 10 && harness.answers().length < count; round++) {
      for (const wait of waits.splice(0)) wait.resolve();
      await harness.settle();
      test.ok(harness.transmission.inFlight <= MAX_IN_FLIGHT);
    }
    test.equal(new Set(cookies(harness)).size, count);
    test.equal(harness.answers().length, count);
  });

  await t.test(`${form}: NBD_CMD_DISC waits for pending long reads`, async (test) => {
    const fake = new FakeExport(SIZE);
    const harness = Harness.chunked(form, fake);
    const wait = deferred();
    fake.onEnsure = (offset) => (offset === MIB ? wait.promise : null);
    harness.room = 0;
    harness.ask({ cookie: 1n, offset: 0, length: 4 * MIB });
    harness.ask({ cookie: 2n, offset: 1, length: 4 * MIB });
    harness.ask({ type: NBD_CMD.DISC });
    harness.ask({ cookie: 3n, offset: 0, length: 1 });
    await harness.settle();
    test.ok(harness.transmission.ending || harness.unparsed > 0);
    harness.room = Infinity;
    await harness.settle();
    test.same(cookies(harness), [2n]);
    test.ok(harness.transmission.ending);
    test.equal(harness.transmission.state, 'waiting');
    wait.resolve();
    await harness.settle();
    test.same(cookies(harness), [2n, 1n]);
    test.equal(harness.transmission.state, 'done');
  });

  await t.test(`${form}: a client that hangs up during long reads ends them`, async (test) => {
    const fake = new FakeExport(SIZE);
    const harness = Harness.chunked(form, fake);
    const waits = [deferred(), deferred()] as const;
    fake.onEnsure = (offset) =>
      offset === MIB ? waits[0].promise : offset === MIB + 1 ? waits[1].promise : null;
    harness.ask({ cookie: 1n, offset: 0, length: 4 * MIB });
    harness.ask({ cookie: 2n, offset: 1, length: 4 * MIB });
    await harness.settle();
    const reads = fake.reads.length;
    harness.close();
    harness.woken = false;
    waits[0].resolve();
    waits[1].reject(new Error('too late'));
    await new Promise(setImmediate);
    test.notOk(harness.woken, 'the closed connection is not woken');
    test.equal(harness.failures.length, 0);
    test.equal(fake.reads.length, reads);
    test.equal(harness.outbox.unsent, 0);
  });
}

await t.test(
  'a read that may not be fragmented is loaded again as a whole if its bytes were evicted',
  async (test) => {
    const length = 100_000;
    for (const form of CHUNKED_FORMS) {
      const fake = new FakeExport(1 << 20);
      let gone = 3;
      // Only a range that was loaded whole can be read, and it is evicted a few times.
      fake.onRead = (call) => {
        const loaded = fake.loads.at(-1);
        return loaded?.[0] === call.offset && loaded[1] === call.length && gone-- <= 0;
      };
      const harness = Harness.chunked(form, fake);
      harness.ask({ cookie: 1n, flags: NBD_CMD_FLAG.DF, offset: 5, length });
      await harness.settle();
      test.match(harness.answers(), [{ cookie: 1n, error: 0, data: bytesAt(5, length) }]);
      test.ok(fake.loads.every(([offset, n]) => offset === 5 && n === length));
    }
  },
);
