// The per-sector model on stacks that are small enough to check by hand.
import { test } from 'tap';
import { SECTOR } from '../../support/lsmt-layout.js';
import { buildDevice } from '../../support/model.js';

const filled = (offset: number, length: number, value: number) => ({
  offset,
  length,
  data: Buffer.alloc(length * SECTOR, value),
});

await test('the topmost layer wins, zeroed segments hide, the rest is a hole', async (t) => {
  const { device, owner, zeroed } = buildDevice(8 * SECTOR, [
    [filled(0, 4, 1), filled(6, 2, 2)],
    [{ offset: 1, length: 2, zeroed: true }],
    [filled(2, 1, 3), filled(7, 5, 4)],
  ]);
  t.same([...owner], [0, 1, 2, 0, -1, -1, 0, 2]);
  t.same([...zeroed], [0, 1, 0, 0, 0, 0, 0, 0]);
  const firstBytes = Array.from({ length: 8 }, (_, sector) => device[sector * SECTOR]);
  t.same(firstBytes, [1, 0, 3, 1, 0, 0, 2, 4]);
});

await test('within a layer the later segment wins', async (t) => {
  const { device } = buildDevice(2 * SECTOR, [[filled(0, 2, 1), filled(1, 1, 2)]]);
  t.ok(device.equals(Buffer.concat([Buffer.alloc(SECTOR, 1), Buffer.alloc(SECTOR, 2)])));
});

await test('every sector gets its own part of the data', async (t) => {
  const data = Buffer.concat([Buffer.alloc(SECTOR, 1), Buffer.alloc(SECTOR, 2)]);
  const { device } = buildDevice(3 * SECTOR, [[{ offset: 1, length: 2, data }]]);
  t.ok(device.subarray(SECTOR).equals(data));
});

await test('a segment without its data is an error, not zeros', async (t) => {
  t.throws(() => buildDevice(SECTOR, [[{ offset: 0, length: 1 }]]), {
    message: 'model: segment at 0: no data for its sector 0',
  });
});
