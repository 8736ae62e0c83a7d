// Who uses a device, as far as this process can see: here only what stands on it, for a number that no
// real device has. Mounts of real ones: test/kernel.
import { test } from 'tap';
import { Sysfs } from '../../../daemon/kernel/sysfs.js';
import { usersOf } from '../../../daemon/service/device-use.js';
import { FakeSysfs } from '../../support/fake-sysfs.js';

const INDEX = 4711;

await test('nobody, and devices on top', async (t) => {
  const fake = new FakeSysfs(t, 0);
  fake.set(INDEX, {});
  const sysfs = new Sysfs(fake.root);
  t.same(usersOf(INDEX, sysfs), []);
  fake.hold(INDEX, 'dm-3');
  fake.hold(INDEX, 'md0');
  t.same(usersOf(INDEX, sysfs).toSorted(), ['under /dev/dm-3', 'under /dev/md0']);
  fake.release(INDEX, 'dm-3');
  t.same(usersOf(INDEX, sysfs), ['under /dev/md0']);
  t.same(usersOf(INDEX + 1, sysfs), [], 'no such device');
});
