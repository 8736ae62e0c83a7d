// The kernel's facts about its devices, from a folder with the layout of /sys.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { Sysfs } from '../../../daemon/kernel/sysfs.js';
import { FakeSysfs } from '../../support/fake-sysfs.js';

await test('devices in order, free and connected', async (t) => {
  const fake = new FakeSysfs(t, 11);
  fake.set(2, { pid: 77, backend: 'overlaybd-nbd:00', size: 1 << 20 });
  fake.set(10, { pid: 78, size: 512 });
  mkdirSync(join(fake.root, 'block', 'nbdx'));
  mkdirSync(join(fake.root, 'block', 'nbd3p1'));
  const sysfs = new Sysfs(fake.root);
  t.same(
    sysfs.devices().map(({ index }) => index),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  );
  t.same(sysfs.device(1), { index: 1, pid: null, backend: null, size: 0 });
  t.same(sysfs.device(2), { index: 2, pid: 77, backend: 'overlaybd-nbd:00', size: 1 << 20 });
  t.same(sysfs.device(10), { index: 10, pid: 78, backend: null, size: 512 });
  t.equal(sysfs.device(11), null);
});

await test('whether the kernel module is there', async (t) => {
  const fake = new FakeSysfs(t, 0);
  const sysfs = new Sysfs(fake.root);
  t.notOk(sysfs.hasModule);
  t.same(sysfs.devices(), []);
  mkdirSync(join(fake.root, 'module', 'nbd'), { recursive: true });
  t.ok(sysfs.hasModule, 'loaded with nbds_max=0');
  rmSync(join(fake.root, 'module'), { recursive: true });
  fake.set(0, {});
  t.ok(sysfs.hasModule, 'built in');
  t.notOk(new Sysfs(join(fake.root, 'nothing')).hasModule);
});

await test('partitions and holders of a device', async (t) => {
  const fake = new FakeSysfs(t, 12);
  const sysfs = new Sysfs(fake.root);
  for (const [name, number] of [
    ['nbd1p1', '43:17'],
    ['nbd1p12', '43:28'],
    ['nbd10', '43:99'],
  ] as const) {
    mkdirSync(join(fake.folder(1), name));
    writeFileSync(join(fake.folder(1), name, 'dev'), `${number}\n`);
  }
  t.same(sysfs.numbers(1).toSorted(), ['43:16', '43:17', '43:28']);
  t.same(sysfs.numbers(2), ['43:32']);
  t.same(sysfs.numbers(99), []);
  fake.hold(1, 'dm-0');
  fake.hold(1, 'md1');
  t.same(sysfs.holders(1).toSorted(), ['dm-0', 'md1']);
  t.same(sysfs.holders(2), []);
  t.same(sysfs.holders(99), []);
});

await test('the owner of a device', async (t) => {
  const fake = new FakeSysfs(t, 1);
  const sysfs = new Sysfs(fake.root);
  const ours = 'overlaybd-nbd:0123456789abcdef';
  const cases: [{ pid?: number; backend?: string }, string, number | null, boolean][] = [
    [{}, ours, null, false],
    [{}, ours, 5, false],
    [{ pid: 5, backend: ours }, ours, null, true],
    [{ pid: 5, backend: ours }, ours, 5, false],
    [{ pid: 5, backend: `${ours}0` }, ours, null, false],
    [{ pid: 5, backend: ours.slice(0, -1) }, ours, null, false],
    [{ pid: 5, backend: 'qemu' }, 'qemu', null, false],
    [{ pid: 5, backend: '' }, '', null, false],
    [{ pid: 5 }, ours, null, false],
    [{ pid: 5 }, ours, 5, true],
    [{ pid: 6 }, ours, 5, false],
    [{ pid: 5 }, 'qemu', 5, false],
    // A backend left from an earlier connection does not make a device connected.
    [{ backend: ours }, ours, null, false],
  ];
  for (const [device, backend, kernelPid, expected] of cases) {
    fake.set(0, device);
    const what = `${JSON.stringify(device)} as ${backend} ${kernelPid}`;
    t.equal(sysfs.isConnectedAs(0, { backend, kernelPid }), expected, what);
  }
  t.notOk(
    sysfs.isConnectedAs(1, { backend: ours, kernelPid: null }),
    'a device that does not exist',
  );
});
