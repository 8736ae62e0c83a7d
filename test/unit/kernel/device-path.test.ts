// Device names.
import { test } from 'tap';
import { deviceIndexOf, devicePath } from '../../../daemon/kernel/device-path.js';

await test('device numbers and names', (t) => {
  t.equal(devicePath(7), '/dev/nbd7');
  t.equal(deviceIndexOf('nbd7'), 7);
  t.equal(deviceIndexOf('/dev/nbd65535'), 65535);
  for (const name of ['', 'nbd', 'sda', '/dev/nbd0p1', 'nbd-1', 'nbd123456', '/dev/nbd1\n', '7']) {
    t.equal(deviceIndexOf(name), null, JSON.stringify(name));
  }
  t.end();
});
