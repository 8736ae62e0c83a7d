// The users of a device, as far as this process can see: here only devices on top of it, for a number that no real
// device has. Mounts of real devices: test/kernel.
import { test } from 'tap';
import { Sysfs } from '../../../daemon/kernel/sysfs.js';
import { pinnedMounts, usersOf } from '../../../daemon/devices/use.js';
import { FakeSysfs } from '../../support/fake-sysfs.js';

const INDEX = 4711;

await test('an unused device, and one with devices on top of it', async (t) => {
  const fake = new FakeSysfs(t, 0);
  fake.set(INDEX, {});
  const sysfs = new Sysfs(fake.root);
  t.same(usersOf(INDEX, sysfs), []);
  fake.hold(INDEX, 'dm-3');
  fake.hold(INDEX, 'md0');
  t.same(usersOf(INDEX, sysfs).toSorted(), ['under /dev/dm-3', 'under /dev/md0']);
  fake.release(INDEX, 'dm-3');
  t.same(usersOf(INDEX, sysfs), ['under /dev/md0']);
  t.same(usersOf(INDEX + 1, sysfs), [], 'a device that does not exist');
});

await test('mounts that only this mount namespace has', async (t) => {
  const fake = new FakeSysfs(t, 0);
  fake.set(INDEX, {});
  const sysfs = new Sysfs(fake.root);
  const line = (id: number, where: string, tags = ''): string =>
    `${id} 1 0:99 / ${where} ro${tags} - ext4 /dev/nbd${INDEX} ro\n`;
  const pinned = (own: string, first = ''): string[] =>
    pinnedMounts(
      INDEX,
      sysfs,
      (name) => ({ 'self/mountinfo': own, '1/mountinfo': first })[name] ?? '',
    );
  const slave = line(8, '/slave', ' shared:9 master:3');
  t.same(pinned(line(7, '/private') + slave), ['/private'], 'the first process is hidden');
  t.same(
    pinned(line(7, '/own', ' shared:4') + slave),
    ['/own'],
    'shared by systemd after it was private',
  );
  t.same(pinned(line(7, '/private'), line(70, '/private')), ['/private'], 'another namespace');
  t.same(pinned(line(7, '/own', ' shared:4'), line(70, '/own')), ['/own']);
  t.same(pinned(line(7, '/peer', ' shared:4'), line(70, '/peer', ' shared:4')), [], 'a peer of it');
  t.same(pinned(line(7, '/here'), line(7, '/here')), [], 'the same namespace');
  t.same(pinned(line(7, '/other').replace(`nbd${INDEX}`, 'nbd1')), [], 'another device');
});
