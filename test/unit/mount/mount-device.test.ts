// `mount` through the kernel: the order of the steps, and that a failed step leaves nothing.
import { release } from 'node:os';
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { detectFilesystem } from '../../../daemon/mount/filesystem.js';
import { mountDevice, otherDevices } from '../../../daemon/mount/mount-device.js';
import { filesystemOptions } from '../../../daemon/mount/mount-options.js';
import { deviceOf, FakeMachine, FSID } from './fake-tools.js';

const refuse = (): Promise<never> => Promise.reject(new OverlaybdError('NO_KERNEL', 'no module'));
const never = new AbortController().signal;

interface Case {
  signal?: AbortSignal;
  type?: 'ext4' | 'xfs' | 'btrfs' | 'zeros';
  options?: string[];
  /** Devices that have the same btrfs. */
  others?: string[];
}

function mount(
  machine: FakeMachine,
  { signal = never, type = 'ext4', options = ['nodev'], others = [] }: Case = {},
): Promise<string> {
  const { attach, detach, detachOnClose, programs } = machine;
  return mountDevice('/mnt', options, {
    attach,
    detach,
    detachOnClose,
    others: async () => others,
    programs,
    read: () => deviceOf(type),
    signal,
  });
}

await test('attach, then mount with the options of the file system and the user', async (t) => {
  for (const type of ['ext4', 'xfs'] as const) {
    const machine = new FakeMachine();
    t.equal(await mount(machine, { type }), '/dev/nbd7');
    const options = [...filesystemOptions(type, release()), 'nodev'].join(',');
    t.same(machine.calls, [
      'attach',
      `mount -t ${type} -o ${options} /dev/nbd7 /mnt`,
      'detach-on-close /dev/nbd7',
    ]);
  }
});

await test('a failed mount leaves no device and no mount', async (t) => {
  const cases: [string, string, RegExp][] = [
    ['attach', 'no device is free', /^no device is free$/],
    [
      'mount',
      'wrong fs type, bad option',
      /^mount: \/dev\/nbd7 \(ext4\) cannot be mounted at \/mnt: wrong fs type, bad option; .*dmesg/,
    ],
    ['mount', "unknown filesystem type 'ext4'.", /modprobe ext4, or mount --fuse$/],
    ['mount', 'must be superuser to use mount.', /; run it as root, or use mount --fuse$/],
    ['mount', '', /: exit code 32$/],
  ];
  for (const [name, words, message] of cases) {
    const machine = new FakeMachine();
    machine.failing.set(name, words);
    await t.rejects(mount(machine), { message });
    t.same([machine.attached, machine.table], [0, []], `${name}: ${words}`);
  }
  const machine = new FakeMachine();
  await t.rejects(mount(machine, { type: 'zeros' }), { code: 'UNSUPPORTED' });
  t.same(machine.calls, ['attach', 'detach /dev/nbd7']);
});

await test('without mount(8) nothing is attached', async (t) => {
  const machine = new FakeMachine();
  machine.missing.add('mount');
  await t.rejects(mount(machine), { code: 'PROGRAM_MISSING', message: /install util-linux/ });
  t.same(machine.calls, []);
});

await test('the error tells what could not be undone', async (t) => {
  const machine = new FakeMachine();
  machine.failing.set('mount', 'no').set('detach', 'the daemon is gone');
  await t.rejects(mount(machine), {
    code: 'MOUNT',
    message:
      /: no; \/dev\/nbd7 is still attached; end that with: overlaybd-nbd detach \/dev\/nbd7 \(the daemon is gone\)$/,
  });
});

await test('an interrupt at any step is undone', async (t) => {
  for (const step of ['attach', 'mount']) {
    const machine = new FakeMachine();
    const abort = new AbortController();
    machine.before = (name) => {
      if (name === step) abort.abort();
    };
    await t.rejects(mount(machine, { signal: abort.signal }), { message: 'mount: interrupted' });
    t.same([machine.attached, machine.table], [0, []], step);
    t.equal(machine.calls.at(-1), 'detach /dev/nbd7');
  }
});

await test('an error keeps its code', async (t) => {
  const machine = new FakeMachine();
  const { detach, detachOnClose, programs } = machine;
  const tools = {
    attach: refuse,
    detach,
    detachOnClose,
    others: () => Promise.resolve([]),
    programs,
    read: () => deviceOf('ext4'),
    signal: never,
  };
  await t.rejects(mountDevice('/mnt', [], tools), { code: 'NO_KERNEL', message: 'no module' });
});

await test('the device is detached when any program unmounts it', async (t) => {
  const machine = new FakeMachine();
  await mount(machine);
  t.equal(machine.attached, 1);
  await machine.programs.run('/bin/umount', ['/mnt']);
  t.equal(machine.attached, 0);
});

await test("device blocks larger than the file system's blocks are refused", async (t) => {
  const machine = new FakeMachine();
  machine.blockSize = 4096;
  await t.rejects(mount(machine), {
    code: 'UNSUPPORTED',
    message:
      '/dev/nbd7: cannot be mounted: the device has blocks of 4096 bytes (--block-size), but the ext4 in it has blocks of 1024: --block-size must be 1024 or less',
  });
  t.same(machine.calls, ['attach', 'detach /dev/nbd7']);
  machine.blockSize = 1024;
  await mount(machine);
});

await test('two btrfs with one fsid: the other device is named', async (t) => {
  const machine = new FakeMachine();
  machine.failing.set('mount', 'mount: /mnt: mount(2) system call failed: File exists.');
  const told = mount(machine, { type: 'btrfs', others: ['/dev/nbd3'] });
  await t.rejects(told, {
    code: 'MOUNT',
    message: /File exists\..*\n\/dev\/nbd3 holds a mounted btrfs with the same fsid/s,
  });
  const root = t.testdir({ [FSID]: { devices: { nbd3: '', nbd7: '' } } });
  t.same(await otherDevices(FSID, '/dev/nbd7', root), ['/dev/nbd3']);
  t.same(await otherDevices(FSID.replace('0', '1'), '/dev/nbd7', root), []);
  t.match(await detectFilesystem('x', deviceOf('btrfs')), { fsid: FSID, blockSize: 4096 });
});
