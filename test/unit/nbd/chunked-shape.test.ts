// Reads of up to 256 KiB with structured and extended replies: the bytes of every chunk, holes, DF, errors.
// The harness itself throws on chunks that the protocol forbids, and on holes that are sent as bytes.
import t from 'tap';
import { EXTENT_DATA, EXTENT_HOLE, EXTENT_ZEROED } from '../../../daemon/lib/extent-list.js';
import {
  NBD_CMD,
  NBD_CMD_FLAG,
  NBD_EINVAL,
  NBD_EIO,
  NBD_EOVERFLOW,
  NBD_EPERM,
} from '../../../daemon/nbd/constants.js';
import { ProtocolError } from '../../../daemon/nbd/errors.js';
import { MAX_INLINE_LENGTH, MAX_REQUEST_LENGTH } from '../../../daemon/nbd/limits.js';
import { MAX_WAITS } from '../../../daemon/lib/loaded.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import { FakeExport, bytesAt } from './fake-export.js';
import { CHUNKED_FORMS, Harness, type ChunkedForm } from './transmission-harness.js';
import { deferred } from '../../support/deferred.js';

const SIZE = 1 << 20;
const KIB = 1024;
const DF = NBD_CMD_FLAG.DF;
const COOKIE = 0x0102030405060708n;

/** A KiB of data, a KiB of hole and a KiB of a layer's zeros, repeated. */
function striped(size = SIZE): FakeExport {
  const fake = new FakeExport(size);
  fake.kindAt = (offset) => [EXTENT_DATA, EXTENT_HOLE, EXTENT_ZEROED][(offset >> 10) % 3] as number;
  return fake;
}

const hex = (n: number, digits: number): string => n.toString(16).padStart(digits, '0');

/** A chunk's header in hex. */
function head(form: ChunkedForm, flagsAndType: string, length: number, offset: number): string {
  return form === 'structured'
    ? `668e33ef${flagsAndType}0102030405060708${hex(length, 8)}`
    : `6e8a278c${flagsAndType}0102030405060708${hex(offset, 16)}${hex(length, 16)}`;
}

for (const form of CHUNKED_FORMS) {
  await t.test(`${form}: the exact bytes of every kind of chunk`, async (test) => {
    const harness = Harness.chunked(form, striped());
    const sent = async (request: Parameters<Harness['ask']>[0]): Promise<string> => {
      const before = harness.takenBytes;
      harness.ask({ cookie: COOKIE, ...request });
      await harness.settle();
      return harness.taken.toString('hex', before);
    };
    const wanted = [
      head(form, '00000001', 8 + 24, 1000),
      `00000000000003e8${bytesAt(1000, 24).toString('hex')}`,
      head(form, '00000002', 12, 1000),
      '000000000000040000000800',
      head(form, '00010001', 8 + 3, 1000),
      `0000000000000c00${bytesAt(3072, 3).toString('hex')}`,
    ];
    test.equal(await sent({ offset: 1000, length: 2075 }), wanted.join(''), 'data, hole, data');
    const hole = `${head(form, '00010002', 12, 2047)}00000000000007ff00000002`;
    test.equal(await sent({ offset: 2047, length: 2 }), hole, 'a hole over two kinds of zeros');
    test.equal(
      await sent({ offset: 7, length: 0 }),
      head(form, '00010000', 0, 7),
      'an empty read has no chunks of data',
    );
    const text = 'NBD_CMD_TRIM of 512 bytes at 9: the export is read-only';
    const size = text.length.toString(16).padStart(4, '0');
    const error = `00000001${size}${Buffer.from(text).toString('hex')}`;
    const refused = await sent({ type: NBD_CMD.TRIM, offset: 9, length: 512 });
    test.equal(refused, head(form, '00018001', 6 + text.length, 9) + error, 'an error');
    test.equal(harness.sends, 4, 'one send each');
  });

  await t.test(`${form}: in any range, data is sent as data and holes as holes`, async (test) => {
    const fake = striped();
    const harness = Harness.chunked(form, fake);
    const ranges: [number, number][] = [
      [0, SIZE / 4],
      [1, SIZE / 4],
      [1023, 1],
      [1024, 1],
      [1024, 2048],
      [1023, 2050],
      [SIZE - 1, 1],
      [SIZE - 5000, 5000],
      [SIZE, 0],
    ];
    for (const [i, [offset, length]] of ranges.entries()) {
      harness.ask({ cookie: BigInt(i), offset, length });
    }
    await harness.settle();
    const answers = harness.answers();
    test.equal(answers.length, ranges.length);
    for (const [i, [offset, length]] of ranges.entries()) {
      const answer = answers[i];
      test.match(answer, { cookie: BigInt(i), error: 0 });
      test.ok(answer?.data.equals(fake.contents(offset, length)), `${offset}+${length}`);
    }
    test.ok(
      fake.reads.every(({ length }) => length <= KIB),
      'holes are not read',
    );
    test.equal(answers[4]?.pieces.length, 1, 'neighbouring zeros of two kinds are one hole chunk');
    test.equal(harness.transmission.requests, ranges.length);
  });

  await t.test(`${form}: NBD_CMD_FLAG_DF makes one chunk, up to a limit`, async (test) => {
    const fake = striped();
    const harness = Harness.chunked(form, fake);
    harness.ask({ cookie: 1n, flags: DF, offset: 500, length: 10_000 });
    harness.ask({ cookie: 2n, flags: DF, offset: 1024, length: 2048 });
    harness.ask({ cookie: 3n, flags: DF | NBD_CMD_FLAG.FUA, offset: 0, length: MAX_INLINE_LENGTH });
    harness.ask({ cookie: 4n, flags: DF, offset: 0, length: MAX_INLINE_LENGTH + 1 });
    harness.ask({ cookie: 5n, flags: DF, offset: 0, length: 0 });
    harness.ask({ cookie: 6n, flags: DF, offset: SIZE - 1, length: 2 });
    await harness.settle();
    const answers = harness.answers();
    test.same(
      answers.map(({ cookie, error }) => [cookie, error]),
      [
        [1n, 0],
        [2n, 0],
        [3n, 0],
        [4n, NBD_EOVERFLOW],
        [5n, 0],
        [6n, NBD_EINVAL],
      ],
    );
    test.ok(answers[0]?.data.equals(fake.contents(500, 10_000)));
    test.same(answers[0]?.pieces, [{ offset: 500, length: 10_000, isHole: false }]);
    test.same(answers[1]?.pieces, [{ offset: 1024, length: 2048, isHole: true }]);
    test.ok(answers[2]?.data.equals(fake.contents(0, MAX_INLINE_LENGTH)));
    test.equal(answers[2]?.pieces.length, 1);
    test.match(answers[3]?.message, '262144');
    test.equal(answers[3]?.errorOffset, null);
  });

  await t.test(
    `${form}: NBD_CMD_FLAG_DF with data after more zeros than one lookup covers`,
    async (test) => {
      const fake = new FakeExport(SIZE);
      const sectors = 300;
      fake.kindAt = (offset) => {
        if (offset >= sectors * 512) return EXTENT_DATA;
        return (offset >> 9) % 2 === 0 ? EXTENT_ZEROED : EXTENT_HOLE;
      };
      const harness = Harness.chunked(form, fake);
      harness.ask({ cookie: 1n, flags: DF, offset: 0, length: sectors * 512 + 1 });
      await harness.settle();
      const [answer] = harness.answers();
      test.ok(answer?.data.equals(fake.contents(0, sectors * 512 + 1)));
      test.notOk(answer?.pieces[0]?.isHole);
    },
  );

  await t.test(`${form}: NBD_CMD_FLAG_DF waits for bytes that arrive later`, async (test) => {
    const fake = striped();
    const harness = Harness.chunked(form, fake);
    fake.onRead = ({ loaded }) => loaded;
    harness.ask({ cookie: 1n, flags: DF, offset: 100, length: 9000 });
    harness.ask({ cookie: 2n, flags: DF, offset: 1024, length: 2048 });
    await harness.settle();
    const answers = harness.answers();
    test.same(
      answers.map(({ cookie }) => cookie),
      [2n, 1n],
      'holes need no disk',
    );
    test.ok(answers[1]?.data.equals(fake.contents(100, 9000)));
    test.same(fake.loads, [[100, 9000]]);
  });

  await t.test(`${form}: a read continues after waiting for the disk`, async (test) => {
    const fake = striped();
    const harness = Harness.chunked(form, fake);
    const wait = deferred();
    fake.onLoad = () => wait.promise;
    fake.onRead = ({ offset, loaded }) => loaded || offset < 6 * KIB;
    harness.ask({ cookie: 1n, offset: 0, length: 20 * KIB });
    harness.ask({ cookie: 2n, offset: 0, length: 4 * KIB });
    await harness.settle();
    const open = harness.openAnswers().get(1n);
    const sent = open?.pieces.map(({ offset, length }) => [offset / KIB, length / KIB]);
    test.same(sent, [
      [0, 1],
      [1, 2],
      [3, 1],
      [4, 2],
    ]);
    test.same(fake.loads, [[6 * KIB, 14 * KIB]], 'only the remaining range is loaded');
    test.match(harness.answers(), [{ cookie: 2n, error: 0 }], 'other requests go on');
    test.equal(harness.transmission.inFlight, 1);
    wait.resolve();
    await harness.settle();
    test.ok(harness.answers()[1]?.data.equals(fake.contents(0, 20 * KIB)));
    test.equal(harness.answers()[1]?.pieces.length, 14, 'no piece is sent twice');
    test.equal(harness.transmission.inFlight, 0);
  });

  await t.test(`${form}: a failed read tells offset and reason, no paths`, async (test) => {
    const fake = striped();
    const harness = Harness.chunked(form, fake);
    let cookie = 0n;
    const ask = async (offset: number, length: number, flags = 0) => {
      harness.ask({ cookie: ++cookie, offset, length, flags });
      await harness.settle();
      return harness.answers().at(-1);
    };
    const secret = '/var/lib/images/secret';
    fake.onRead = ({ offset }) => {
      if (offset >= 6 * KIB) throw new OverlaybdError('BAD_CHECKSUM', secret);
      return true;
    };
    const middle = await ask(100, 20 * KIB);
    test.match(middle, { error: NBD_EIO, errorOffset: 6 * KIB, message: /checksum.*log/ });
    test.notMatch(middle?.message, secret);
    test.equal(middle?.pieces.length, 4, 'the readable part was sent');
    test.match(await ask(6 * KIB + 7, 1), { errorOffset: 6 * KIB + 7 });
    test.match(await ask(5 * KIB, 5 * KIB, DF), { errorOffset: null, error: 0 }, 'read from 5');
    test.match(await ask(6 * KIB, KIB, DF), { errorOffset: 6 * KIB, pieces: [] });
    test.match(
      await ask(7 * KIB, 2 * KIB),
      { error: 0 },
      'the hole after the bad range can be read',
    );
    test.equal(harness.failures.length, 3);
    test.equal(harness.transmission.errors, 3);
    test.match(harness.failures[0], { request: { offset: 100, length: 20 * KIB } });

    fake.onRead = ({ loaded }) => loaded;
    fake.onLoad = () => Promise.reject(new Error(secret));
    const rejected = await ask(1024, 5000);
    test.match(rejected, { error: NBD_EIO, errorOffset: 3072, message: /^the read failed; / });
    test.same(rejected?.pieces, [{ offset: 1024, length: 2048, isHole: true }]);
    fake.onLoad = () => Promise.reject(undefined);
    test.match(await ask(3500, 10), { error: NBD_EIO, errorOffset: 3500 }, 'without a reason');
    fake.onRead = () => true;
    fake.onEnsure = () => Promise.reject(new OverlaybdError('IO', secret));
    const gone = await ask(12, 10);
    test.match(gone, { error: NBD_EIO, errorOffset: 12, message: /^a layer cannot be read; / });
    fake.onEnsure = () => {
      throw new Error(secret);
    };
    test.match(await ask(3600, 10), { error: NBD_EIO, errorOffset: 3600, pieces: [] });
    fake.onEnsure = () => null;
    fake.extents = () => {
      throw new Error(secret);
    };
    test.match(await ask(3700, 10), { error: NBD_EIO, errorOffset: 3700 });
  });

  await t.test(`${form}: a source that would block after load() is NBD_EIO`, async (test) => {
    const fake = new FakeExport(SIZE);
    const harness = Harness.chunked(form, fake);
    let calls = 0;
    fake.onRead = () => {
      if (++calls > 1000) throw new Error('asked for ever');
      return false; // also after load()
    };
    harness.ask({ cookie: 1n, offset: 0, length: 10 });
    harness.ask({ cookie: 2n, offset: 0, length: 10, flags: DF });
    harness.ask({ cookie: 3n, offset: 0, length: SIZE });
    await harness.settle();
    test.same(
      harness.answers().map(({ error }) => error),
      [NBD_EIO, NBD_EIO, NBD_EIO],
    );
    test.ok(calls <= 3 * (MAX_WAITS + 1), `${calls} calls`);
    test.notOk(
      harness.taken.includes(Buffer.alloc(8, 0xee)),
      'stale bytes of the send buffer are not sent either',
    );
  });

  await t.test(`${form}: more extents than one lookup returns`, async (test) => {
    const fake = new FakeExport(SIZE);
    fake.kindAt = (offset) => ((offset >> 9) % 2 === 0 ? EXTENT_DATA : EXTENT_HOLE);
    const harness = Harness.chunked(form, fake);
    for (const [cookie, offset] of [
      [1n, 0],
      [2n, 512],
      [3n, 77],
    ] as const) {
      harness.ask({ cookie, offset, length: MAX_INLINE_LENGTH });
      harness.ask({ cookie: cookie + 10n, offset, length: MAX_INLINE_LENGTH, flags: DF });
    }
    await harness.settle();
    test.ok(fake.extentCalls >= 6);
    for (const { cookie, data, pieces } of harness.answers()) {
      const offset = [0, 0, 512, 77][Number(cookie % 10n)] as number;
      test.ok(data.equals(fake.contents(offset, MAX_INLINE_LENGTH)), `cookie ${cookie}`);
      const count = offset === 77 ? 513 : 512;
      test.equal(pieces.length, cookie > 10n ? 1 : count);
    }
    test.equal(harness.answers().length, 6);
  });

  await t.test(
    `${form}: a run that continues after a full extent list is sent as consecutive chunks`,
    async (test) => {
      // 255 changes, then zeros of alternating layers.
      const fake = new FakeExport(SIZE);
      fake.kindAt = (offset) => (offset < 100 * 512 ? EXTENT_DATA : EXTENT_ZEROED);
      fake.layerAt = (offset) => (offset >> 9) % 2;
      const harness = Harness.chunked(form, fake);
      harness.ask({ cookie: 1n, offset: 0, length: MAX_INLINE_LENGTH });
      await harness.settle();
      const [answer] = harness.answers();
      test.ok(answer?.data.equals(fake.contents(0, MAX_INLINE_LENGTH)));
      test.equal(answer?.pieces[0]?.length, 100 * 512, 'data of many layers is one chunk');
      test.ok((answer?.pieces.length ?? 9) <= 4);
    },
  );

  await t.test(`${form}: invalid reads are refused with their reason`, async (test) => {
    const harness = Harness.chunked(form, new FakeExport(SIZE));
    const refusals: [number, number, number | bigint, number | bigint, number, RegExp][] = [
      [NBD_CMD.READ, 0, SIZE, 1, NBD_EINVAL, /1048576/],
      [NBD_CMD.READ, 0, 2n ** 64n - 1n, 1, NBD_EINVAL, /past the export/],
      [NBD_CMD.READ, 0, 0, 0xffffffff, NBD_EINVAL, /past the export/],
      [NBD_CMD.READ, NBD_CMD_FLAG.REQ_ONE, 0, 1, NBD_EINVAL, /: NBD_CMD_FLAG_REQ_ONE is not/],
      [NBD_CMD.READ, 2, 0, 1, NBD_EINVAL, /^NBD_CMD_READ of 1 bytes at 0: NBD_CMD_FLAG_NO_HOLE is/],
      [NBD_CMD.READ, 0x8001, 0, 1, NBD_EINVAL, /: NBD_CMD_FLAG 0x8000 is not/],
      [NBD_CMD.CACHE, DF, 0, 1, NBD_EINVAL, /: NBD_CMD_FLAG_DF is not/],
      [NBD_CMD.BLOCK_STATUS, DF, 0, 1, NBD_EINVAL, /: NBD_CMD_FLAG_DF is not/],
      [NBD_CMD.TRIM, 0, 0, 1, NBD_EPERM, /read-only/],
      [NBD_CMD.WRITE_ZEROES, 0, 0, 1, NBD_EPERM, /read-only/],
      [NBD_CMD.FLUSH, DF, 0, 0, NBD_EINVAL, /: NBD_CMD_FLAG_DF is not/],
      [
        NBD_CMD.RESIZE,
        0,
        0,
        1,
        NBD_EINVAL,
        /^NBD_CMD_RESIZE of 1 bytes at 0: the command is not supported$/,
      ],
      [0xffff, 0, 0, 1, NBD_EINVAL, /^NBD_CMD 65535 of/],
    ];
    for (const [i, [type, flags, offset, length, error, message]] of refusals.entries()) {
      harness.ask({ cookie: BigInt(i), type, flags, offset, length });
      await harness.settle();
      const answer = harness.answers().at(-1);
      test.match(answer, { error, message, errorOffset: null }, `${type} ${offset}+${length}`);
    }
    test.equal(harness.answers().length, refusals.length);
    test.equal(harness.failures.length, 0);
    const told = harness.refusals.map(({ type, errno }) => [type, errno]);
    test.same(
      told,
      refusals.map(([type, , , , errno]) => [type, errno]),
      'each refusal is counted',
    );
    const big = Harness.chunked(form, new FakeExport(2 ** 50));
    big.ask({ cookie: 1n, offset: 2 ** 40, length: MAX_REQUEST_LENGTH + 1 });
    await big.settle();
    test.match(big.answers(), [{ error: NBD_EINVAL, message: /at most 33554432 bytes/ }]);
  });
}

await t.test('a request with the magic of another form ends the connection', async (test) => {
  for (const [form, magic] of [
    ['structured', 0x21e41c71],
    ['structured', 0],
    ['extended', 0x25609513],
    ['extended', 0x6e8a278c],
  ] as const) {
    const harness = Harness.chunked(form, new FakeExport(SIZE));
    harness.ask({ cookie: 1n, length: 1 });
    harness.ask({ cookie: 2n, length: 1, magic });
    test.throws(() => harness.pump(), ProtocolError);
    harness.outbox.flush();
    test.match(harness.answers(), [{ cookie: 1n, error: 0 }], 'earlier requests are answered');
  }
});
