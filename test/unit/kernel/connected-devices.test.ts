// Which devices the attach helper may touch: with several users, on kernels with and without backends.
import { test } from 'tap';
import { ConnectedDevices } from '../../../daemon/kernel/connected-devices.js';
import { backendName, Sysfs, userOfBackend } from '../../../daemon/kernel/sysfs.js';
import { FakeSysfs } from '../../support/fake-sysfs.js';

const ID = '00000000000000aa';

await test('backend names have the id and the user', async (t) => {
  t.equal(backendName(ID, 0), `overlaybd-nbd:${ID}@0`);
  t.equal(backendName(ID, null), `overlaybd-nbd:${ID}`);
  t.equal(backendName(ID, 994), `overlaybd-nbd:${ID}@994`);
  t.equal(userOfBackend(backendName(ID, 994)), 994);
  t.equal(userOfBackend(backendName(ID, 0)), 0);
  t.equal(userOfBackend(backendName(ID, null)), null);
});

await test('the backend name tells the owner, also to a new helper', async (t) => {
  const fake = new FakeSysfs(t, 2);
  const backend = backendName(ID, 994);
  fake.set(1, { pid: 5, size: 4096, backend });
  const devices = new ConnectedDevices(new Sysfs(fake.root));
  t.same(devices.owner(1, backend, 994), { backend, kernelPid: null });
  t.same(devices.owner(1, backend, 0), { backend, kernelPid: null }, 'root');
  t.throws(() => devices.owner(1, backend, 993), { code: 'PERMISSION', message: /another user/ });
  t.throws(() => devices.owner(1, backendName(ID, 993), 993), { code: 'DEVICE' }, 'another name');
  t.throws(() => devices.owner(0, backend, 994), { code: 'DEVICE' }, 'a free device');
  t.throws(
    () => devices.owner(7, backend, 994),
    { code: 'DEVICE' },
    'a device that does not exist',
  );
  t.throws(() => devices.checkName(1, backend, 993), { code: 'PERMISSION' });
  devices.checkName(1, backend, 994);
});

await test('devices of root belong to root alone, also for a new helper', async (t) => {
  const fake = new FakeSysfs(t, 2);
  const backend = backendName(ID, 0);
  fake.set(1, { pid: 5, size: 4096, backend });
  const devices = new ConnectedDevices(new Sysfs(fake.root));
  t.throws(() => devices.owner(1, backend, 994), { code: 'PERMISSION', message: /another user/ });
  t.throws(() => devices.checkName(0, backend, 994), { code: 'PERMISSION' });
  t.same(devices.owner(1, backend, 0), { backend, kernelPid: null });
});

await test('a name without a user: the owner is the user who connected it', async (t) => {
  const fake = new FakeSysfs(t, 2);
  const backend = backendName(ID, null);
  fake.set(1, { pid: 5, size: 4096, backend });
  const first = new ConnectedDevices(new Sysfs(fake.root));
  first.add(1, backend, 994);
  t.same(first.owner(1, backend, 994), { backend, kernelPid: null });
  t.throws(() => first.owner(1, backend, 993), { code: 'PERMISSION' });
  t.notOk(first.areOnlyKnownHere);
  const next = new ConnectedDevices(new Sysfs(fake.root));
  t.same(next.owner(1, backend, 993), { backend, kernelPid: null });
});

await test('a kernel without backends: only devices connected here', async (t) => {
  const fake = new FakeSysfs(t, 2);
  const backend = backendName(ID, 994);
  const devices = new ConnectedDevices(new Sysfs(fake.root));
  fake.set(1, { pid: 5, size: 4096 });
  t.throws(() => devices.owner(1, backend, 994), { code: 'DEVICE', message: /keeps no backends/ });
  devices.add(1, backend, 994);
  t.ok(devices.areOnlyKnownHere);
  t.same(devices.owner(1, backend, 994), { backend, kernelPid: 5 });
  t.throws(() => devices.owner(1, backendName(ID, 993), 993), { code: 'DEVICE' });
  fake.set(1, { pid: 6, size: 4096 });
  t.throws(
    () => devices.owner(1, backend, 0),
    { code: 'DEVICE' },
    'another program has it, and root asks',
  );
  t.notOk(devices.areOnlyKnownHere);
});
