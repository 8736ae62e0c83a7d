// Requests that are answered at once: every command and range, slow and broken clients. Parked and long reads have
// their own files.
import t from 'tap';
import {
  NBD_CMD,
  NBD_EINVAL,
  NBD_EIO,
  NBD_EPERM,
  REQUEST_SIZE,
} from '../../../daemon/nbd/constants.js';
import { EXTENT_HOLE } from '../../../daemon/lib/extent-list.js';
import { ProtocolError } from '../../../daemon/nbd/errors.js';
import { MAX_REQUEST_LENGTH, MAX_UNSENT_BYTES } from '../../../daemon/nbd/limits.js';
import { requestBytes } from '../../support/nbd-client.js';
import { FakeExport, bytesAt } from './fake-export.js';
import { Harness, type Answer } from './transmission-harness.js';

const SIZE = 1 << 20;

function errorsOf(answers: readonly Answer[]): [bigint, number][] {
  return answers.map(({ cookie, error }) => [cookie, error]);
}

await t.test('reads are answered with their data and the cookie of the request', async (test) => {
  const harness = new Harness(new FakeExport(SIZE));
  const cookies = [0n, 1n, 0xffffffffffffffffn, 0x8000000000000001n, 0x0102030405060708n];
  for (const [i, cookie] of cookies.entries()) {
    harness.ask({ cookie, offset: 1000 * i, length: 100 + i });
  }
  await harness.settle();
  const answers = harness.answers();
  test.same(
    errorsOf(answers),
    cookies.map((cookie) => [cookie, 0]),
  );
  for (const [i, { data }] of answers.entries()) {
    test.ok(data.equals(bytesAt(1000 * i, 100 + i)));
  }
  test.equal(harness.sends, 1, 'all replies in one send');
  test.equal(harness.transmission.requests, 5);
  test.equal(harness.transmission.state, 'hungry');
});

await t.test('ranges are checked', async (test) => {
  const harness = new Harness(new FakeExport(SIZE));
  const ranges: [bigint | number, number, number][] = [
    [0, SIZE, 0],
    [SIZE - 1, 1, 0],
    [SIZE - 7, 7, 0],
    [0, 0, 0],
    [SIZE, 0, 0],
    [SIZE, 1, NBD_EINVAL],
    [SIZE - 1, 2, NBD_EINVAL],
    [SIZE + 1, 0, NBD_EINVAL],
    [0, SIZE + 1, NBD_EINVAL],
    [0, MAX_REQUEST_LENGTH + 1, NBD_EINVAL],
    [0, 0xffffffff, NBD_EINVAL],
    [2n ** 64n - 1n, 1, NBD_EINVAL],
    [2n ** 64n - 1n, 0, NBD_EINVAL],
    [2n ** 64n - 512n, 512, NBD_EINVAL],
    [2n ** 64n - 512n, 1024, NBD_EINVAL],
    [2n ** 63n, 1, NBD_EINVAL],
    [2n ** 53n, 1, NBD_EINVAL],
    [2n ** 32n, 1, NBD_EINVAL],
  ];
  for (const [i, [offset, length]] of ranges.entries()) {
    harness.ask({ cookie: BigInt(i), offset, length });
    await harness.settle();
  }
  const answers = new Map(harness.answers().map((each) => [each.cookie, each]));
  for (const [i, [offset, length, error]] of ranges.entries()) {
    const answer = answers.get(BigInt(i));
    test.equal(answer?.error, error, `${offset}+${length}`);
    if (error === 0) test.ok(answer?.data.equals(bytesAt(Number(offset), length)));
  }
  test.equal(harness.failures.length, 0, 'a wrong range is not counted as a failed read');
});

await t.test('offsets above 4 GiB are exact', async (test) => {
  const size = 2 ** 52;
  const harness = new Harness(new FakeExport(size));
  for (const offset of [2 ** 32 - 1, 2 ** 32, 2 ** 40 + 12345, size - 3]) {
    harness.ask({ offset, length: 3 });
  }
  await harness.settle();
  const all = harness.answers().map(({ data }) => data);
  test.same(
    all,
    [2 ** 32 - 1, 2 ** 32, 2 ** 40 + 12345, size - 3].map((offset) => bytesAt(offset, 3)),
  );
});

await t.test('a read-only export refuses commands that write', async (test) => {
  const refusals: [number, number][] = [
    [NBD_CMD.WRITE, NBD_EPERM],
    [NBD_CMD.TRIM, NBD_EPERM],
    [NBD_CMD.WRITE_ZEROES, NBD_EPERM],
    [NBD_CMD.BLOCK_STATUS, NBD_EINVAL],
    [NBD_CMD.RESIZE, NBD_EINVAL],
    [9, NBD_EINVAL],
    [0xffff, NBD_EINVAL],
  ];
  const harness = new Harness(new FakeExport(SIZE));
  for (const [type, error] of refusals) {
    const payload = type === NBD_CMD.WRITE ? Buffer.alloc(4096) : Buffer.alloc(0);
    harness.ask({ type, cookie: BigInt(type), offset: 512, length: 4096 }, payload);
    harness.ask({ cookie: 1_000_000n, offset: 5, length: 5 });
    await harness.settle();
    const [refused, next] = harness.answers().slice(-2);
    test.match(refused, { cookie: BigInt(type), error }, `command ${type}`);
    test.same(next?.data, bytesAt(5, 5), 'the next request is understood');
  }
  for (const [flags, error] of [
    [0, 0],
    [1, 0], // FUA: allowed with every command
    [2, NBD_EINVAL],
    [4, NBD_EINVAL], // DF: with chunks only
    [8, NBD_EINVAL],
    [32, NBD_EINVAL],
    [0x8000, NBD_EINVAL],
    [3, NBD_EINVAL],
  ] as const) {
    harness.ask({ cookie: 1n, flags, offset: 0, length: 1 });
    await harness.settle();
    test.equal(harness.answers().at(-1)?.error, error, `flags ${flags}`);
  }
});

await t.test('NBD_CMD_FLUSH succeeds, because nothing is ever unwritten', async (test) => {
  const harness = new Harness(new FakeExport(SIZE));
  for (const [flags, offset, length, error] of [
    [0, 0, 0, 0],
    [1, 0, 0, 0],
    [2, 0, 0, NBD_EINVAL],
    [0, SIZE, 1, NBD_EINVAL],
  ] as const) {
    harness.ask({ type: NBD_CMD.FLUSH, flags, offset, length });
    await harness.settle();
    test.equal(harness.answers().at(-1)?.error, error, `flags ${flags} ${offset}+${length}`);
  }
});

await t.test(
  'a refused write is answered after its payload, and does not delay running reads',
  async (test) => {
    const fake = new FakeExport(SIZE);
    fake.onRead = ({ loaded }) => loaded;
    const harness = new Harness(fake);
    const { transmission } = harness;
    harness.ask({ cookie: 1n, offset: 0, length: 10 });
    harness.ask({ type: NBD_CMD.WRITE, cookie: 2n, offset: 0, length: 300_000 });
    harness.feed(Buffer.alloc(299_999));
    await harness.settle();
    test.same(errorsOf(harness.answers()), [[1n, 0]], 'the read before it is answered');
    test.match(transmission.unfinished, { skip: 1, refused: { cookieLow: 2, errno: NBD_EPERM } });
    test.equal(transmission.requests, 1, 'it has not been received completely');
    harness.feed(Buffer.alloc(1));
    await harness.settle();
    test.same(errorsOf(harness.answers()), [
      [1n, 0],
      [2n, NBD_EPERM],
    ]);
    test.equal(transmission.requests, 2);
    test.match(transmission.unfinished, { skip: 0, refused: null });
  },
);

await t.test('the payload of a write is skipped exactly', async (test) => {
  // The payload looks like requests: it would be parsed as such if the skipping were off by a byte.
  const fakes = Buffer.concat(
    Array.from({ length: 4000 }, () => requestBytes({ cookie: 0xbadn, offset: 0, length: 1 })),
  );
  for (const length of [0, 1, 27, 28, 29, 56, 4096, 17 * 1024, 100_000]) {
    for (const most of [1, 27, 28, 29, 1000, Infinity]) {
      if (most < 20 && length > 5000) continue;
      const harness = new Harness(new FakeExport(SIZE));
      harness.ask(
        { type: NBD_CMD.WRITE, cookie: 1n, offset: 0, length },
        fakes.subarray(0, length),
      );
      harness.ask({ cookie: 2n, offset: 9, length: 9 });
      await harness.settle(() => most);
      const answers = harness.answers();
      if (errorsOf(answers).toString() !== '1,1,2,0') test.fail(`${length} by ${most}`);
      test.same(answers.at(-1)?.data, bytesAt(9, 9));
    }
  }
});

await t.test('a wrong request magic ends the connection', async (test) => {
  for (const magic of [0, 0x25609512, 0x67446698, 0x21e41c71]) {
    const harness = new Harness(new FakeExport(SIZE));
    harness.ask({ cookie: 1n, length: 1 });
    harness.ask({ cookie: 2n, length: 1, magic });
    test.throws(() => harness.pump(), ProtocolError);
    harness.outbox.flush();
    test.same(errorsOf(harness.answers()), [[1n, 0]], 'earlier requests are answered');
  }
});

await t.test('NBD_CMD_DISC ends the session after all replies are taken', async (test) => {
  const harness = new Harness(new FakeExport(SIZE));
  harness.ask({ cookie: 1n, offset: 0, length: 200_000 });
  harness.ask({ cookie: 2n, offset: 0, length: 200_000 });
  harness.ask({ type: NBD_CMD.DISC });
  harness.ask({ cookie: 3n, offset: 0, length: 1 });
  harness.feed(Buffer.from('not a request at all, but nobody reads it'));
  harness.room = 1000;
  await harness.settle();
  test.equal(harness.transmission.state, 'waiting', 'the client has replies to take');
  harness.room = Infinity;
  await harness.settle();
  test.equal(harness.transmission.state, 'done');
  test.same(errorsOf(harness.answers()), [
    [1n, 0],
    [2n, 0],
  ]);
});

await t.test('a failed read is NBD_EIO, and the next one works', async (test) => {
  const fake = new FakeExport(SIZE);
  const harness = new Harness(fake);
  const broken = new Error('block 3 is broken');
  fake.onRead = ({ offset }) => {
    if (offset === 4096) throw broken;
    return true;
  };
  harness.ask({ cookie: 1n, offset: 0, length: 10 });
  harness.ask({ cookie: 2n, offset: 4096, length: 10 });
  harness.ask({ cookie: 3n, offset: 8192, length: 10 });
  await harness.settle();
  const answers = harness.answers();
  test.same(errorsOf(answers), [
    [1n, 0],
    [2n, NBD_EIO],
    [3n, 0],
  ]);
  test.same(answers[2]?.data, bytesAt(8192, 10));
  test.equal(harness.failures.length, 1);
  test.equal(harness.failures[0]?.error, broken);
  test.match(harness.failures[0]?.request, { offset: 4096, length: 10 });
  test.equal(harness.transmission.errors, 1);
  fake.onRead = () => true;
  fake.onEnsure = () => {
    throw broken;
  };
  harness.ask({ cookie: 4n, offset: 0, length: 1 });
  await harness.settle();
  test.equal(
    harness.answers().at(-1)?.error,
    NBD_EIO,
    'a source that throws in ensure() is NBD_EIO too',
  );
});

await t.test('replies are complete with short sends of any size', async (test) => {
  for (const size of [1, 7, 15, 16, 17, 1000]) {
    const harness = new Harness(new FakeExport(SIZE));
    harness.shortest = () => size;
    for (let i = 0; i < 5; i++) harness.ask({ cookie: BigInt(i), offset: i, length: 3000 });
    await harness.settle();
    const answers = harness.answers();
    test.equal(answers.length, 5);
    test.ok(answers.every(({ data, cookie }) => data.equals(bytesAt(Number(cookie), 3000))));
  }
});

await t.test('a client that takes no replies holds little, and is not read', async (test) => {
  const harness = new Harness(new FakeExport(SIZE));
  harness.room = 0;
  const length = 16 * 1024;
  for (let i = 0; i < 2000; i++) harness.ask({ cookie: BigInt(i), offset: i, length });
  await harness.settle();
  test.ok(harness.outbox.unsent >= MAX_UNSENT_BYTES);
  test.ok(harness.outbox.unsent < MAX_UNSENT_BYTES + length + 16, 'no further read was begun');
  test.ok(harness.unread > 30_000, 'its requests stay in the socket');
  const { sends } = harness;
  await harness.settle();
  test.equal(harness.sends, sends, 'the connection does not spin');
  harness.room = 100_000;
  await harness.settle();
  test.ok(harness.outbox.unsent < MAX_UNSENT_BYTES + length + 16);
  harness.room = Infinity;
  await harness.settle();
  const answers = harness.answers();
  test.equal(answers.length, 2000, 'all are answered when it reads again');
  test.ok(
    answers.every(({ cookie }, i) => cookie === BigInt(i)),
    'in order',
  );
});

await t.test('the client makes room between two sends of one turn', async (test) => {
  // The send at the limit returns EAGAIN; the one at the end of the turn takes everything.
  const harness = new Harness(new FakeExport(SIZE));
  let refusals = 1;
  harness.shortest = () =>
    harness.outbox.unsent >= MAX_UNSENT_BYTES && refusals-- > 0 ? 0 : Infinity;
  for (let i = 0; i < 10; i++) harness.ask({ cookie: BigInt(i), offset: i, length: 200_000 });
  await harness.settle();
  test.equal(refusals < 1, true, 'the socket was full once');
  test.equal(harness.answers().length, 10, 'the session does not wait for ever');
});

await t.test('one turn makes a bounded number of reply bytes', async (test) => {
  const harness = new Harness(new FakeExport(SIZE));
  for (let i = 0; i < 100; i++) harness.ask({ cookie: BigInt(i), offset: 0, length: 250_000 });
  harness.pump();
  test.equal(harness.transmission.state, 'busy');
  test.ok(harness.takenBytes + harness.outbox.unsent < 3 << 20);
  await harness.settle();
  test.equal(harness.answers().length, 100);
});

await t.test('a send error ends the session', async (test) => {
  const harness = new Harness(new FakeExport(SIZE));
  harness.errno = 104;
  for (let i = 0; i < 20; i++) harness.ask({ cookie: BigInt(i), offset: 0, length: 100_000 });
  await harness.settle();
  test.equal(harness.outbox.failed, 104);
  test.equal(harness.sends, 1, 'there is one send only');
  harness.close();
  test.equal(harness.outbox.unsent, 0);
});

await t.test('request headers may be split anywhere', async (test) => {
  for (let cut = 0; cut <= 2 * REQUEST_SIZE; cut++) {
    const harness = new Harness(new FakeExport(SIZE));
    harness.ask({ cookie: 1n, offset: 77, length: 7 });
    harness.ask({ cookie: 2n, offset: 78, length: 8 });
    harness.pump(cut);
    await harness.settle();
    const answers = harness.answers();
    if (errorsOf(answers).toString() !== '1,0,2,0') test.fail(`split at ${cut}`);
    test.same(answers[1]?.data, bytesAt(78, 8));
  }
});

await t.test(
  'one turn takes a bounded number of steps, even if they make few bytes',
  async (test) => {
    const fake = new FakeExport(64 << 20);
    fake.kindAt = () => EXTENT_HOLE;
    fake.grain = 1 << 20;
    const harness = Harness.chunked('structured', fake);
    // 128 pieces each; each piece is a hole of 32 bytes.
    for (let i = 0; i < 20; i++) harness.ask({ cookie: BigInt(i), offset: i, length: 32 << 20 });
    harness.pump();
    test.equal(harness.transmission.state, 'busy');
    // docs/limits.md: 1024 steps. 20 accept a request; every second of the others looks for another one.
    test.equal(fake.extentCalls, (1024 - 20) / 2 + 20 / 2);
    harness.pump();
    test.ok(fake.extentCalls <= (2 * 1024) / 2, `${fake.extentCalls} pieces`);
    await harness.settle();
    test.equal(harness.answers().length, 20);
    test.equal(fake.extentCalls, 20 * 128);
  },
);
