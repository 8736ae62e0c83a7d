// The table of further devices: what it says, and what is refused.
import { test } from 'tap';
import {
  areInside,
  placed,
  readDeviceTable,
} from '../../../../daemon/erofs/devices/device-table.js';
import { readSuperblock } from '../../../../daemon/erofs/reader/superblock.js';
import { BLOCK, writeDevices } from '../../../support/erofs-devices-writer.js';
import { MemorySource } from '../../../support/memory-source.js';

const ROOT = [{ path: '', mode: 0o040755 }];
const { bytes: GOOD, table: TABLE } = writeDevices(ROOT, [
  { tag: 'x'.repeat(64), blocks: 5, firstBlock: 9 },
  { tag: 'caf\u00e9', blocks: 2 },
  { blocks: 7, firstBlock: 2 },
]);

function slotsOf(change: (bytes: Buffer) => void): ReturnType<typeof readDeviceTable> {
  const bytes = Buffer.from(GOOD);
  change(bytes);
  return readDeviceTable(new MemorySource(bytes), readSuperblock(bytes, 'image'));
}

await test('slots, and the places after the image', async (t) => {
  const slots = await slotsOf(() => undefined);
  t.same(slots, [
    { number: 1, tag: 'x'.repeat(64), blocks: 5, firstBlock: 9 },
    { number: 2, tag: 'caf\u00e9', blocks: 2, firstBlock: 0 },
    { number: 3, tag: '', blocks: 7, firstBlock: 2 },
  ]);
  t.same(
    placed(slots).map(({ number }) => number),
    [3, 1],
  );
  const sb = readSuperblock(GOOD, 'image');
  t.notOk(areInside(slots, 100 * BLOCK, sb), 'one has no place');
  const [first, , third] = slots as [(typeof slots)[0], (typeof slots)[0], (typeof slots)[0]];
  t.ok(areInside([first, third], 14 * BLOCK, sb));
  t.notOk(areInside([first, third], 14 * BLOCK - 1, sb));
});

await test('what is refused', async (t) => {
  const SB = 1024;
  const cases: [change: (bytes: Buffer) => void, code: string, message: RegExp][] = [
    [
      (b) => b.writeUInt16LE(254, SB + 86),
      'LIMIT',
      /superblock at byte 1110: expected at most 253 further devices, got 254/,
    ],
    [
      (b) => b.writeUInt16LE(65_535, SB + 88),
      'BAD_FORMAT',
      /superblock at byte 1112: expected a table of 3 devices before byte \d+, got one at byte 8388480/,
    ],
    [
      (b) => b.writeUInt32LE(1, TABLE + 2 * 128 + 68),
      'BAD_FORMAT',
      /device 3 at byte 1476: expected a first block from 2 on, got 1/,
    ],
    [
      (b) => b.writeUInt32LE(8, TABLE + 2 * 128 + 64),
      'BAD_FORMAT',
      /device 1 at byte 1220: expected a first block from 10 on, got 9/,
    ],
  ];
  for (const [change, code, message] of cases) await t.rejects(slotsOf(change), { code, message });
});
