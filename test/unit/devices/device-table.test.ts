// Devices by id and by name, served and lost.
import { test } from 'tap';
import { Device } from '../../../daemon/devices/device.js';
import { DeviceTable } from '../../../daemon/devices/device-table.js';
import type { DeviceRecord } from '../../../daemon/devices/record.js';
import type { HeldImage } from '../../../daemon/image/open-images.js';

const image = { image: { name: 'an image' } } as unknown as HeldImage;
const recordOf = (index: number): DeviceRecord =>
  ({ id: `${index}`.repeat(16), index, connections: 2, image: [] }) as unknown as DeviceRecord;

await test('served and lost devices are found by id and by name', (t) => {
  const table = new DeviceTable();
  const served = new Device(recordOf(1), image);
  const lost = new Device(recordOf(2), null);
  table.add(served);
  table.add(lost);
  t.equal(table.size, 2);
  t.equal(table.served.length, 1);
  t.equal(table.served[0], served);
  for (const name of ['nbd2', '/dev/nbd2', '2'.repeat(16)]) t.equal(table.find(name), lost, name);
  for (const name of ['', '2', 'nbd3', '/dev/nbd2p1']) t.equal(table.find(name), undefined, name);
  t.equal(table.servedById('1'.repeat(16)), served);
  t.equal(table.servedById('2'.repeat(16)), undefined, 'it has no image to read from');
  t.equal(lost.state, 'failed');
  lost.serve(image);
  t.equal(lost.state, 'waiting');
  t.equal(table.servedById('2'.repeat(16)), lost);
  t.equal(table.delete(new Device(recordOf(1), image)), false, 'another device with this id');
  t.equal(table.delete(served), true);
  t.equal(table.delete(served), false);
  t.notOk(table.has(served));
  t.equal(table.size, 1);
  t.end();
});
