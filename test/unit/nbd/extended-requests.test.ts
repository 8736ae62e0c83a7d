// What only extended headers have: 64-bit lengths, payloads with any command, the offset in each reply.
import t from 'tap';
import {
  EXTENDED_REQUEST_SIZE,
  NBD_CMD,
  NBD_CMD_FLAG,
  NBD_EINVAL,
  NBD_EPERM,
} from '../../../daemon/nbd/constants.js';
import { ProtocolError } from '../../../daemon/nbd/errors.js';
import { MAX_REQUEST_LENGTH } from '../../../daemon/nbd/limits.js';
import { FakeExport, bytesAt } from './fake-export.js';
import { requestInForm } from './reply-chunks.js';
import { Harness } from './transmission-harness.js';

const SIZE = 1 << 20;
const PAYLOAD_LEN = NBD_CMD_FLAG.PAYLOAD_LEN;
const READ_ONLY: ReadonlySet<number> = new Set([NBD_CMD.WRITE, NBD_CMD.TRIM, NBD_CMD.WRITE_ZEROES]);
const ALL_COMMANDS = [
  NBD_CMD.READ,
  NBD_CMD.WRITE,
  NBD_CMD.FLUSH,
  NBD_CMD.TRIM,
  NBD_CMD.CACHE,
  NBD_CMD.WRITE_ZEROES,
  NBD_CMD.BLOCK_STATUS,
  NBD_CMD.RESIZE,
  0xffff,
];

await t.test('64-bit lengths are understood, and refused where they are too long', async (test) => {
  const size = 2 ** 50;
  const fake = new FakeExport(size);
  fake.grain = 2 ** 45;
  const harness = Harness.chunked('extended', fake);
  const asked: [number, bigint, bigint, number][] = [
    [NBD_CMD.READ, 0n, 2n ** 32n, NBD_EINVAL],
    [NBD_CMD.READ, 0n, 2n ** 32n + 1n, NBD_EINVAL],
    [NBD_CMD.READ, 0n, 2n ** 64n - 1n, NBD_EINVAL],
    [NBD_CMD.READ, 2n ** 64n - 1n, 2n ** 64n - 1n, NBD_EINVAL],
    [NBD_CMD.READ, 2n ** 50n - 5n, 5n, 0],
    [NBD_CMD.BLOCK_STATUS, 0n, 2n ** 50n, 0],
    [NBD_CMD.BLOCK_STATUS, 1n, 2n ** 50n - 1n, 0],
    [NBD_CMD.BLOCK_STATUS, 1n, 2n ** 50n, NBD_EINVAL],
    [NBD_CMD.BLOCK_STATUS, 0n, 2n ** 64n - 1n, NBD_EINVAL],
    [NBD_CMD.CACHE, 2n ** 50n - 2n ** 20n, 2n ** 20n, 0],
    [NBD_CMD.CACHE, 0n, 2n ** 63n, NBD_EINVAL],
    [NBD_CMD.TRIM, 0n, 2n ** 64n - 1n, NBD_EPERM],
    [NBD_CMD.WRITE_ZEROES, 0n, 2n ** 40n, NBD_EPERM],
  ];
  for (const [i, [type, offset, length]] of asked.entries()) {
    harness.ask({ cookie: BigInt(i), type, offset, length });
    await harness.settle();
  }
  const answers = harness.answers();
  test.equal(answers.length, asked.length);
  for (const [i, [type, offset, length, error]] of asked.entries()) {
    const answer = answers.find(({ cookie }) => cookie === BigInt(i));
    test.equal(answer?.error, error, `${type} ${offset}+${length}`);
  }
  test.same(answers[4]?.data, bytesAt(size - 5, 5));
  test.same(answers[5]?.statuses.get(0), [[size, 0]]);
});

await t.test("every reply is an extended one and repeats the request's offset", async (test) => {
  const harness = Harness.chunked('extended', new FakeExport(SIZE));
  const offsets = [0n, 513n, 0x0102030405060708n, 2n ** 64n - 1n];
  let cookie = 0n;
  for (const type of ALL_COMMANDS) {
    const payload = Buffer.alloc(type === NBD_CMD.WRITE ? 512 : 0);
    for (const offset of offsets) {
      harness.ask({ cookie: ++cookie, type, offset, length: 512 }, payload);
    }
    harness.ask({ cookie: ++cookie, type, offset: 77, length: 0 });
  }
  await harness.settle();
  // The harness throws on replies that are not extended, and on wrong offsets.
  test.equal(harness.answers().length, Number(cookie));
  test.notOk(harness.taken.includes(Buffer.from('67446698', 'hex')), 'no simple reply is sent');
  test.notOk(harness.taken.includes(Buffer.from('668e33ef', 'hex')), 'no structured reply is sent');
});

await t.test('the payload of any command is skipped exactly', async (test) => {
  const request = { cookie: 0xbadn, length: 1 };
  const fakes = Buffer.concat(Array(4000).fill(requestInForm('extended', request)) as Buffer[]);
  for (const type of ALL_COMMANDS) {
    for (const length of [0, 1, 31, 32, 33, 64, 17 * 1024, 100_000]) {
      for (const most of [1, 31, 1000, Infinity]) {
        if (most < 20 && length > 100) continue;
        const harness = Harness.chunked('extended', new FakeExport(SIZE));
        const flags = PAYLOAD_LEN;
        harness.ask({ cookie: 1n, type, flags, length }, fakes.subarray(0, length));
        harness.ask({ cookie: 2n, offset: 9, length: 9 });
        await harness.settle(() => most);
        const [refused, next, ...none] = harness.answers();
        const error = READ_ONLY.has(type) ? NBD_EPERM : NBD_EINVAL;
        const isRight = refused?.error === error && next?.data.equals(bytesAt(9, 9));
        if (!isRight || none.length > 0) test.fail(`command ${type}, ${length} by ${most}`);
      }
    }
  }
  const harness = Harness.chunked('extended', new FakeExport(SIZE));
  harness.ask({ cookie: 1n, type: NBD_CMD.WRITE, length: 5000 }, fakes.subarray(0, 5000));
  harness.ask({ cookie: 2n, offset: 9, length: 9 });
  await harness.settle();
  const errors = harness.answers().map(({ error }) => error);
  test.same(errors, [NBD_EPERM, 0], 'a write has a payload even without the payload flag');
});

await t.test('a payload over the limit ends the connection', async (test) => {
  for (const length of [MAX_REQUEST_LENGTH + 1, 2 ** 32, 2n ** 64n - 1n]) {
    for (const type of ALL_COMMANDS) {
      const harness = Harness.chunked('extended', new FakeExport(SIZE));
      harness.ask({ cookie: 1n, length: 1 });
      harness.ask({ cookie: 2n, type, flags: PAYLOAD_LEN, length });
      test.throws(() => harness.pump(), ProtocolError);
      harness.outbox.flush();
      test.match(harness.answers(), [{ cookie: 1n, error: 0 }], 'earlier requests are answered');
    }
  }
  const most = Harness.chunked('extended', new FakeExport(SIZE));
  most.ask({ cookie: 1n, type: NBD_CMD.WRITE, flags: PAYLOAD_LEN, length: MAX_REQUEST_LENGTH });
  most.feed(Buffer.alloc(MAX_REQUEST_LENGTH - 1));
  await most.settle();
  test.same(most.answers(), [], 'there is no answer before the whole payload has arrived');
  most.feed(Buffer.alloc(1));
  await most.settle();
  const message = `NBD_CMD_WRITE of ${MAX_REQUEST_LENGTH} bytes at 0: the export is read-only`;
  test.match(
    most.answers(),
    [{ error: NBD_EPERM, message }],
    'the longest allowed payload is skipped',
  );
  test.match(most.refusals, [{ type: NBD_CMD.WRITE, errno: NBD_EPERM }]);
});

await t.test('without extended headers PAYLOAD_LEN is an unknown flag', async (test) => {
  const harness = Harness.chunked('structured', new FakeExport(SIZE));
  harness.ask({ cookie: 1n, flags: PAYLOAD_LEN, length: 100 });
  harness.ask({ cookie: 2n, offset: 9, length: 9 });
  await harness.settle();
  test.match(harness.answers(), [
    { error: NBD_EINVAL, message: /NBD_CMD_FLAG_PAYLOAD_LEN is not supported here/ },
    { error: 0, data: bytesAt(9, 9) },
  ]);
});

await t.test('extended headers may be split anywhere; NBD_CMD_DISC', async (test) => {
  for (let cut = 0; cut <= 3 * EXTENDED_REQUEST_SIZE; cut++) {
    const harness = Harness.chunked('extended', new FakeExport(SIZE));
    harness.ask({ cookie: 1n, offset: 77, length: 7 });
    harness.ask({ cookie: 2n, offset: 78, length: 8 });
    harness.ask({ type: NBD_CMD.DISC });
    harness.feed(Buffer.from('nobody reads this'));
    harness.pump(cut);
    await harness.settle();
    const [first, second] = harness.answers();
    const isRight = first?.data.equals(bytesAt(77, 7)) && second?.data.equals(bytesAt(78, 8));
    test.ok(isRight && harness.transmission.state === 'done', `split at ${cut}`);
  }
});
