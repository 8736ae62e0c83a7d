// NBD_CMD_BLOCK_STATUS in both contexts and both reply forms: extents are joined, bounded and clipped; refusals.
import t from 'tap';
import { EXTENT_DATA, EXTENT_HOLE, EXTENT_ZEROED } from '../../../daemon/lib/extent-list.js';
import { NBD_CMD, NBD_CMD_FLAG, NBD_EINVAL } from '../../../daemon/nbd/constants.js';
import { MAX_UNSENT_BYTES } from '../../../daemon/nbd/limits.js';
import { META_CONTEXTS } from '../../../daemon/nbd/meta-context.js';
import { FakeExport } from './fake-export.js';
import { CHUNKED_FORMS, Harness, type Answer } from './transmission-harness.js';

const SECTOR = 512;
const SIZE = 8 << 20;
const REQ_ONE = NBD_CMD_FLAG.REQ_ONE;
const ZEROS = 3; // NBD_STATE_HOLE and NBD_STATE_ZERO
const CAPACITY = 4096;

/** In sectors: data of layers 0, 0, 1; zeros of layers 1 and 2; two holes; data of layer 2; then holes only. */
function sample(): FakeExport {
  const kinds = [0, 0, 0, 1, 1, 2, 2, 0].map(
    (kind) => [EXTENT_DATA, EXTENT_ZEROED, EXTENT_HOLE][kind] as number,
  );
  const fake = new FakeExport(SIZE);
  fake.kindAt = (offset) => kinds[Math.floor(offset / SECTOR)] ?? EXTENT_HOLE;
  fake.layerAt = (offset) => [0, 0, 1, 1, 2, 9, 9, 2][Math.floor(offset / SECTOR)] ?? 9;
  return fake;
}

async function ask(
  harness: Harness,
  offset: number,
  length: number,
  flags = 0,
  cookie = 1n,
): Promise<Answer> {
  harness.ask({ type: NBD_CMD.BLOCK_STATUS, cookie, offset, length, flags });
  await harness.settle();
  return harness.answers().at(-1) as Answer;
}

for (const form of CHUNKED_FORMS) {
  await t.test(`${form}: block status of both contexts`, async (test) => {
    const harness = Harness.chunked(form, sample());
    const whole = await ask(harness, 0, SIZE);
    test.same(whole.statuses.get(0), [
      [3 * SECTOR, 0],
      [4 * SECTOR, ZEROS],
      [SECTOR, 0],
      [SIZE - 8 * SECTOR, ZEROS],
    ]);
    test.same(whole.statuses.get(1), [
      [2 * SECTOR, 0],
      [SECTOR, 1],
      [SECTOR, 0x101],
      [SECTOR, 0x102],
      [2 * SECTOR, 0x200],
      [SECTOR, 2],
      [SIZE - 8 * SECTOR, 0x200],
    ]);
    const part = await ask(harness, 700, 1500, 0, 2n);
    test.same(part.statuses.get(0), [
      [836, 0],
      [664, ZEROS],
    ]);
    test.same(part.statuses.get(1), [
      [324, 0],
      [512, 1],
      [512, 0x101],
      [152, 0x102],
    ]);
    const one = await ask(harness, 0, SIZE, REQ_ONE, 3n);
    test.same(
      one.statuses.get(0),
      [[3 * SECTOR, 0]],
      'one extent is asked for, and the neighbours are joined in it',
    );
    test.same(one.statuses.get(1), [[2 * SECTOR, 0]]);
    const byte = await ask(harness, SIZE - 1, 1, REQ_ONE | NBD_CMD_FLAG.FUA, 4n);
    test.same(byte.statuses.get(0), [[1, ZEROS]]);
  });

  await t.test(`${form}: only the selected contexts are answered`, async (test) => {
    const [allocation, layer] = META_CONTEXTS;
    const layers = Harness.chunked(form, sample(), layer ? [layer] : []);
    test.same((await ask(layers, 2 * SECTOR, SECTOR)).statuses, new Map([[0, [[SECTOR, 1]]]]));
    const both = Harness.chunked(form, sample(), layer && allocation ? [layer, allocation] : []);
    const { statuses } = await ask(both, 2 * SECTOR, SECTOR);
    test.same(statuses.get(0), [[SECTOR, 1]]);
    test.same(statuses.get(1), [[SECTOR, 0]]);
  });

  await t.test(`${form}: the exact bytes of block status replies`, async (test) => {
    const harness = Harness.chunked(form, sample());
    const cookie = 0x0102030405060708n;
    harness.ask({ type: NBD_CMD.BLOCK_STATUS, cookie, offset: 1024, length: 1024 });
    await harness.settle();
    const chunk = (id: string, done: string, ...extents: [string, string][]): string => {
      const width = form === 'extended' ? 16 : 8;
      const body = extents.flat().map((hex) => hex.padStart(width, '0'));
      const count = form === 'extended' ? `0000000${extents.length}` : '';
      const payload = `0000000${id}${count}${body.join('')}`;
      const length = (payload.length / 2).toString(16);
      return form === 'extended'
        ? `6e8a278c000${done}00060102030405060708${'400'.padStart(16, '0')}${length.padStart(16, '0')}${payload}`
        : `668e33ef000${done}00050102030405060708${length.padStart(8, '0')}${payload}`;
    };
    const wanted = [
      chunk('0', '0', ['200', '0'], ['200', '3']),
      chunk('1', '1', ['200', '1'], ['200', '101']),
    ];
    test.equal(harness.taken.toString('hex'), wanted.join(''));
  });

  await t.test(`${form}: no more extents than the limit, and all are right`, async (test) => {
    const fake = new FakeExport(SIZE);
    fake.kindAt = (offset) => (Math.floor(offset / SECTOR) % 2 === 0 ? EXTENT_DATA : EXTENT_HOLE);
    const harness = Harness.chunked(form, fake);
    const { statuses } = await ask(harness, 0, SIZE);
    for (const [id, zeros] of [ZEROS, 0x200].entries()) {
      const extents = statuses.get(id);
      test.equal(extents?.length, CAPACITY);
      test.ok(
        extents?.every(
          ([length], i) => length === SECTOR && extents[i]?.[1] === (i % 2 ? zeros : 0),
        ),
      );
    }
    const { statuses: next } = await ask(harness, CAPACITY * SECTOR, SIZE / 2, 0, 2n);
    test.equal(next.get(0)?.length, CAPACITY, 'the client asks again for the rest');

    // The layer changes at every sector, the allocation never does: allocation is known as far as the layers are.
    fake.kindAt = () => EXTENT_DATA;
    fake.layerAt = (offset) => Math.floor(offset / SECTOR) % 3;
    const joined = await ask(harness, 0, SIZE, 0, 3n);
    test.same(joined.statuses.get(0), [[CAPACITY * SECTOR, 0]]);
    test.equal(joined.statuses.get(1)?.length, CAPACITY);
  });

  await t.test(`${form}: invalid block status requests are refused`, async (test) => {
    const harness = Harness.chunked(form, sample());
    for (const [i, [offset, length, flags]] of (
      [
        [SIZE, 1, 0],
        [SIZE - 1, 2, 0],
        [0, SIZE + 1, 0],
        [0, 0xffffffff, REQ_ONE],
        [2 ** 60, 512, 0],
        [0, 0, 0],
        [SIZE, 0, REQ_ONE],
        [0, 1, NBD_CMD_FLAG.DF],
        [0, 1, 2],
      ] as const
    ).entries()) {
      const answer = await ask(harness, offset, length, flags, BigInt(i));
      test.match(answer, { error: NBD_EINVAL, statuses: new Map() }, `${offset}+${length}`);
    }
    const none = Harness.chunked(form, sample(), []);
    test.match(await ask(none, 0, 512), { error: NBD_EINVAL, message: /no metadata context/ });
    test.equal(harness.failures.length, 0);
  });

  await t.test(`${form}: a client that takes no replies holds few bytes`, async (test) => {
    const fake = new FakeExport(SIZE);
    fake.kindAt = (offset) => (Math.floor(offset / SECTOR) % 2 === 0 ? EXTENT_DATA : EXTENT_HOLE);
    const harness = Harness.chunked(form, fake);
    harness.room = 0;
    for (let i = 0n; i < 100n; i++) {
      harness.ask({ type: NBD_CMD.BLOCK_STATUS, cookie: i, offset: 0, length: SIZE });
    }
    await harness.settle();
    const one = 2 * (32 + 8 + 16 * CAPACITY);
    test.ok(harness.outbox.unsent <= MAX_UNSENT_BYTES + one, `${harness.outbox.unsent} bytes`);
    test.ok(fake.extentCalls < 10, 'the remaining extents are not looked up');
    harness.room = Infinity;
    await harness.settle();
    test.equal(harness.answers().length, 100);
  });
}

await t.test('block status is refused with simple replies', async (test) => {
  const harness = new Harness(sample());
  harness.ask({ type: NBD_CMD.BLOCK_STATUS, cookie: 1n, length: 512 });
  await harness.settle();
  test.match(harness.answers(), [{ error: NBD_EINVAL }]);
});
