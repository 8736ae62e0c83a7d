// `umount` of devices: which mounts it accepts, the order of the steps, and its errors.
import { test } from 'tap';
import { umount } from '../../../daemon/mount/umount.js';
import { FakeMachine } from './fake-tools.js';

function machineWith(...mounts: Parameters<FakeMachine['mounted']>[]): FakeMachine {
  const machine = new FakeMachine();
  machine.attached = 1;
  for (const mount of mounts) machine.mounted(...mount);
  return machine;
}

const end = (machine: FakeMachine, { lazy = false, dir = '/mnt', isOurs = true } = {}) =>
  umount(dir, lazy, machine.tools({ isOurs }));

await test('umount unmounts, then detaches', async (t) => {
  const machine = machineWith(['/mnt', 'ext4', '/dev/nbd7', '43:224']);
  await end(machine, { dir: '/mnt/' });
  t.same(machine.calls, ['umount /mnt', 'detach /dev/nbd7']);
  const btrfs = machineWith(['/mnt', 'btrfs', '/dev/nbd7', '0:44']);
  await end(btrfs);
  t.same(btrfs.calls, ['umount /mnt', 'detach /dev/nbd7']);
});

await test('lazily: the kernel is set to detach on close first', async (t) => {
  const machine = machineWith(['/mnt', 'ext4', '/dev/nbd7', '43:224']);
  await end(machine, { lazy: true });
  t.same(machine.calls, ['detach-on-close /dev/nbd7', 'umount -l /mnt']);
});

await test('mounts of other programs are refused', async (t) => {
  const cases: [Parameters<FakeMachine['mounted']>, boolean][] = [
    [['/mnt', 'ext4', '/dev/nbd7', '43:224'], false],
    [['/mnt', 'ext4', '/dev/sda1', '8:1'], true],
    [['/mnt', 'ext4', '/dev/nbd7p1', '43:225'], true],
    [['/mnt', 'fuse.ext4', '/dev/nbd7', '0:50'], true],
    [['/mnt', 'fuse', '/tmp/overlaybd-nbd-fuse-abcdef/disk/other', '0:50'], true],
    [['/mnt', 'tmpfs', '/tmp/overlaybd-nbd-fuse-abcdef/disk/nbd', '0:50'], true],
  ];
  for (const [mount, isOurs] of cases) {
    const machine = machineWith(mount);
    await t.rejects(end(machine, { isOurs }), {
      code: 'BAD_ARGUMENT',
      message: `/mnt: ${mount[2]} (${mount[1]}) is mounted there, not by overlaybd-nbd; use umount(8)`,
    });
    t.same(machine.calls, []);
  }
  await t.rejects(end(machineWith()), {
    code: 'NOT_FOUND',
    message: '/mnt: nothing is mounted there',
  });
});

await test('a mount that is in use', async (t) => {
  const machine = machineWith(['/mnt', 'ext4', '/dev/nbd7', '43:224']);
  machine.failing.set('umount', 'umount: /mnt: target is busy.');
  await t.rejects(end(machine), { code: 'MOUNT', message: /busy\.; .*fuser -vm \/mnt.*--lazy/ });
  t.equal(machine.attached, 1);
});

await test('mounted twice: the device stays for the other mount', async (t) => {
  const machine = machineWith(
    ['/mnt', 'ext4', '/dev/nbd7', '43:224'],
    ['/other', 'ext4', '/dev/nbd7', '43:224'],
  );
  await t.rejects(end(machine), {
    message:
      '/mnt: unmounted, but /dev/nbd7 stays attached, because it is mounted at /other too; unmount that as well',
  });
  t.same(machine.calls, ['umount /mnt']);
  await end(machine, { dir: '/other' });
  t.equal(machine.attached, 0);
});

await test('unmounted, but not detached', async (t) => {
  const machine = machineWith(['/mnt', 'ext4', '/dev/nbd7', '43:224']);
  machine.failing.set('detach', 'no daemon');
  await t.rejects(end(machine), {
    code: 'MOUNT',
    message: '/mnt: unmounted, but /dev/nbd7 is still attached: no daemon',
  });
});

await test('a device that the kernel detaches with its last mount', async (t) => {
  const machine = machineWith(['/mnt', 'ext4', '/dev/nbd7', '43:224']);
  machine.letsGo = true;
  await end(machine);
  t.same(machine.calls, ['umount /mnt'], 'no daemon has to be called');
});
