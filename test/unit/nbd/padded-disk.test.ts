// The last block of an export whose size is not a multiple of the block size: zeros fill it, and the image is never
// asked for bytes after its end.
import t from 'tap';
import { EXTENT_DATA, EXTENT_HOLE, ExtentList } from '../../../daemon/lib/extent-list.js';
import { NBD_INFO, NBD_OPT } from '../../../daemon/nbd/constants.js';
import { Handshake } from '../../../daemon/nbd/handshake.js';
import { PaddedDisk, inBlocks, paddedTo, sizeInBlocks } from '../../../daemon/nbd/padded-disk.js';
import { clientFlags, infoData, optionBytes } from '../../support/nbd-client.js';
import { FakeExport, bytesAt, tableOf } from './fake-export.js';
import { Harness } from './transmission-harness.js';

const SIZE = 3000;
const PADDED = 3072;

await t.test('sizes are padded to whole blocks', (test) => {
  for (const [size, padded] of [
    [1, 1024],
    [511, 1024],
    [512, 512],
    [513, 1024],
    [1024, 1024],
    [1025, 2048],
    [1536, 1536],
    [SIZE, PADDED],
    [2 ** 50, 2 ** 50],
    [2 ** 50 + 1, 2 ** 50 + 1024],
    [0, 0],
  ] as const) {
    test.equal(inBlocks(new FakeExport(size)).disk.size, padded, `${size}`);
  }
  for (const [size, blockSize, padded] of [
    [SIZE, 512, 3072],
    [SIZE, 1024, 3072],
    [SIZE, 4096, 4096],
    [512, 4096, 4096],
    [8192, 4096, 8192],
  ] as const) {
    test.equal(sizeInBlocks(size, blockSize), padded, `${size} in blocks of ${blockSize}`);
  }
  const fake = new FakeExport(SIZE, 'x', 'about x');
  test.match(inBlocks(fake), {
    name: 'x',
    description: 'about x',
    blockSizes: { preferred: 4096 },
  });
  test.equal(paddedTo(fake, 4096).disk.size, 4096, 'a device has larger blocks');
  test.equal(paddedTo(fake, SIZE), fake);
  test.equal(paddedTo(fake, 100), fake, 'a client may know a smaller size');
  test.equal(
    paddedTo(fake, SIZE + 4096),
    fake,
    'padding is at most a block, because the image may have become shorter',
  );
  test.end();
});

/** @returns the size in the handshake, and the size of the export that is served afterwards */
function told(option: number, data: Buffer): [size: number, served: number | undefined] {
  const out: Buffer[] = [];
  const exports = tableOf(new FakeExport(777, 'odd'));
  const handshake = new Handshake(exports, (bytes) => out.push(Buffer.from(bytes)));
  handshake.step(clientFlags());
  handshake.step(optionBytes(option, data));
  const { result } = handshake;
  const size = out[1]?.readBigUInt64BE(option === NBD_OPT.EXPORT_NAME ? 0 : 22);
  return [Number(size), result?.kind === 'transmission' ? result.export.disk.size : undefined];
}

await t.test('clients that ask for no block sizes get a size in sectors', async (test) => {
  const { EXPORT_NAME, GO, INFO } = NBD_OPT;
  const { BLOCK_SIZE, NAME } = NBD_INFO;
  test.same(told(EXPORT_NAME, Buffer.from('odd')), [1024, 1024]);
  test.same(told(GO, infoData('odd')), [1024, 1024], 'nbd-client');
  test.same(told(GO, infoData('odd', [NAME])), [1024, 1024]);
  test.same(told(GO, infoData('odd', [BLOCK_SIZE])), [777, 777], 'libnbd, qemu');
  test.same(told(INFO, infoData('odd')), [1024, undefined]);
  test.same(told(INFO, infoData('odd', [BLOCK_SIZE])), [777, undefined]);
});

await t.test(
  'reads, extents and loads of each range within the last sectors are right',
  async (test) => {
    const fake = new FakeExport(SIZE);
    fake.grain = 1;
    const padded = new PaddedDisk(fake, PADDED);
    const cursor = { hint: 0 };
    const whole = Buffer.concat([bytesAt(0, SIZE), Buffer.alloc(PADDED - SIZE)]);
    const list = new ExtentList(8);
    const dst = Buffer.alloc(700);
    for (let from = 2500; from < PADDED; from += 7) {
      for (let length = 1; from + length <= PADDED; length += 13) {
        dst.fill(0xaa);
        if (!padded.read(from, length, dst, 3, cursor)) test.fail('read() returned false');
        const isRight = dst.subarray(3, 3 + length).equals(whole.subarray(from, from + length));
        if (!isRight || dst[2] !== 0xaa || dst[3 + length] !== 0xaa) test.fail(`${from}+${length}`);
        test.equal(padded.extents(from, length, list, cursor, null), length);
        const data = Math.max(0, Math.min(length, SIZE - from));
        const expected = [
          ...(data > 0 ? [[data, EXTENT_DATA]] : []),
          ...(data < length ? [[length - data, EXTENT_HOLE]] : []),
        ];
        const got = Array.from({ length: list.count }, (_, i) => [list.lengths[i], list.kinds[i]]);
        if (JSON.stringify(got) !== JSON.stringify(expected)) test.fail(`${from}+${length}`);
        await padded.load(from, length);
        await padded.prefetch(from, length);
      }
    }
  },
);

await t.test('an extent list that becomes full ends before the padding', (test) => {
  const fake = new FakeExport(SIZE);
  fake.kindAt = (offset) => (Math.floor(offset / 512) % 2 === 0 ? EXTENT_DATA : EXTENT_HOLE);
  const list = new ExtentList(2);
  const padded = new PaddedDisk(fake, PADDED);
  test.equal(padded.extents(0, PADDED, list, { hint: 0 }, null), 1024);
  test.equal(padded.extents(2048, 1024, list, { hint: 0 }, null), 1024, 'the hole goes on');
  test.equal(list.count, 2);
  test.end();
});

await t.test('of reads that are announced, the image hears of its own bytes only', (test) => {
  const announced: number[][] = [];
  const together = { round: 0, begin: () => true, end: () => undefined };
  const fake = Object.assign(new FakeExport(SIZE), {
    together,
    announce: (...range: number[]) => void announced.push(range),
  });
  const padded = new PaddedDisk(fake, PADDED);
  test.equal(padded.together, together);
  padded.announce(2560, 512);
  padded.announce(SIZE, PADDED - SIZE);
  padded.announce(0, 512);
  test.same(announced, [
    [2560, SIZE - 2560],
    [0, 512],
  ]);
  test.equal(new PaddedDisk(new FakeExport(SIZE), PADDED).together, undefined);
  test.end();
});

await t.test('a failed read of the last sector has the offset of the image', async (test) => {
  const fake = new FakeExport(SIZE);
  fake.onRead = ({ offset }) => {
    if (offset >= 2560) throw new Error('gone');
    return true;
  };
  const harness = new Harness(fake, undefined, undefined, inBlocks(fake));
  harness.ask({ cookie: 1n, offset: 2560, length: 512 });
  harness.ask({ cookie: 2n, offset: SIZE, length: PADDED - SIZE });
  harness.ask({ cookie: 3n, offset: PADDED - 1, length: 2 });
  harness.pump();
  harness.pump();
  const errors = harness.answers().map(({ cookie, error }) => [Number(cookie), error]);
  test.same(errors, [
    [1, 5],
    [2, 0],
    [3, 22],
  ]);
});
