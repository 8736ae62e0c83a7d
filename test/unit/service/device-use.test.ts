// Who uses a device, as far as this process can see: here only what stands on it, for a number that no
// real device has. Mounts of real ones: test/kernel.
import { test } from 'tap';
import { Sysfs } from '../../../daemon/kernel/sysfs.js';
import { pinnedMounts, usersOf } from '../../../daemon/service/device-use.js';
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

await test('mounts that only our own namespace has', async (t) => {
  const fake = new FakeSysfs(t, 0);
  fake.set(INDEX, {});
  const sysfs = new Sysfs(fake.root);
  const line = (id: number, where: string, tags = ''): string =>
    `${id} 1 0:99 / ${where} ro${tags} - ext4 /dev/nbd${INDEX} ro\n`;
  const own =
    line(7, '/private') + line(8, '/slave', ' master:3') + line(9, '/shared', ' shared:4');
  const pinned = (files: Record<string, string>): string[] =>
    pinnedMounts(INDEX, sysfs, (name) => files[name] ?? '');
  t.same(pinned({ 'self/mountinfo': own }), ['/private'], 'the first process is hidden');
  const copy = own.replace(/^7 /, '70 ');
  t.same(pinned({ 'self/mountinfo': copy, '1/mountinfo': own }), ['/private'], 'another namespace');
  t.same(pinned({ 'self/mountinfo': own, '1/mountinfo': own }), [], 'the same namespace');
  t.same(pinned({ 'self/mountinfo': own.replaceAll(`nbd${INDEX}`, 'nbd1') }), [], 'another device');
});
