// The devices of a daemon against a fake kernel: attached, served, repaired, detached. After the daemon died:
// recovery.test.ts; with the real kernel: test/kernel.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'tap';
import type { DeviceStatus } from '../../../daemon/control/api.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import type { DeviceRecord } from '../../../daemon/devices/record.js';
import { fileRef } from '../../../daemon/blob/blob-ref.js';
import { openSockets } from '../../support/fake-driver.js';
import { SIZE, disk, makeWorld, openFiles, part, until } from './device-world.js';
import { settled } from '../../support/descriptors.js';

await test('attach, read, detach', async (t) => {
  const { kernel, image, folder, records, live } = makeWorld(t);
  const { manager, reactors, log, idle } = await live({ web: image });
  const before = await settled(openSockets);
  let seen: DeviceRecord[] = [];
  kernel.before = (what) => {
    if (what === 'connect') seen = records();
  };
  const status = await manager.attach({ export: 'web', connections: 3, timeoutSeconds: 5 });
  t.match(seen, [{ id: status.id, index: 0, export: 'web', image: [fileRef(image)], size: SIZE }]);
  t.same(records(), seen, 'the record existed before the kernel was asked');
  t.match(status, {
    device: '/dev/nbd0',
    state: 'connected',
    export: 'web',
    image,
    size: SIZE,
    connections: 3,
    liveConnections: 3,
    timeoutSeconds: 5,
    deadConnTimeoutSeconds: 90,
    blockSize: 512,
    requests: 0,
    reconnects: 0,
  });
  const { request } = kernel.devices.get(0) ?? {};
  t.match(request, { backend: `overlaybd-nbd:${status.id}`, size: SIZE, blockSize: 512 });
  t.equal((request?.serverFlags ?? 0) & 0x103, 0x103, 'flags, read-only, several connections');
  t.equal(openSockets(), before + 6, 'three ends here, three in the kernel');
  for (const which of [0, 1, 2]) t.same(await kernel.read(0, 777, 5000, which), part(777, 5000));
  t.same(await kernel.read(0, 0, SIZE), disk);
  t.match(await manager.status(), [{ requests: 4, errors: 0, bytesSent: 3 * 5016 + SIZE + 16 }]);
  t.notOk(idle());
  await manager.detach('/dev/nbd0', {});
  t.same(records(), []);
  t.same(readdirSync(join(folder, 'devices')), []);
  t.same(await manager.status(), []);
  t.equal(idle(), 1);
  await until(() => reactors.connections === 0 && openSockets() <= before);
  t.ok(log.some((line) => line === 'info: /dev/nbd0: detached'));
  t.notOk(
    log.some((line) => line.includes('new connections')),
    'nothing was repaired',
  );
  for (const name of ['/dev/nbd0', 'nbd0', status.id, 'nbd9', 'x']) {
    await t.rejects(manager.detach(name, {}), { code: 'NOT_FOUND', message: /this daemon/ });
  }
});

await test('devices by id, name and path; one in use is not detached', async (t) => {
  const { kernel, sysfs, image, live } = makeWorld(t, 12);
  const { manager } = await live();
  const attach = (index: number): Promise<DeviceStatus> =>
    manager.attach({ image: [image], index });
  const { id } = await attach(1);
  await attach(11);
  await attach(2);
  const names = (await manager.status()).map(({ device }) => device);
  t.same(names, ['/dev/nbd1', '/dev/nbd2', '/dev/nbd11']);
  sysfs.hold(1, 'dm-7');
  await t.rejects(manager.detach(id, {}), { code: 'BUSY', message: /under \/dev\/dm-7.*--force/ });
  t.ok(kernel.devices.has(1));
  await manager.detach(id, { force: true });
  t.same(
    [...kernel.devices.keys()].toSorted((a, b) => a - b),
    [2, 11],
  );
  await manager.detach('nbd11', {});
  await manager.detach('/dev/nbd2', { onClose: true });
  t.equal(kernel.calls.at(-1), 'disconnectOnClose 2');
  t.equal(manager.size, 1, 'it stays as long as the kernel has it');
  kernel.drop(2);
  await until(() => manager.size === 0);
});

await test('a failed attach leaves no device, record or descriptor', async (t) => {
  const { kernel, sysfs, image, folder, live, records } = makeWorld(t, 2);
  const { manager, images, reactors } = await live({ web: image });
  const before = await settled(openSockets);
  const files = openFiles(folder);
  await t.rejects(manager.attach({ export: 'nobody' }), { code: 'NOT_FOUND', message: /"web"/ });
  await t.rejects(manager.attach({ image: ['/no/such'] }), { code: 'NOT_FOUND' });
  t.same(kernel.calls, []);
  for (const error of [new OverlaybdError('PERMISSION', 'no'), new TypeError('oops')]) {
    kernel.before = () => {
      throw error;
    };
    await t.rejects(manager.attach({ image: [image] }), { message: error.message });
    await t.rejects(manager.attach({ export: 'web' }), { message: error.message });
  }
  t.same(records(), []);
  t.equal(manager.size, 0);
  await until(() => reactors.connections === 0 && openSockets() <= before);
  t.equal(images.exports.size, 1);
  // Other threads close them.
  await until(() => openFiles(folder) <= files);
  kernel.before = () => undefined;
  for (const index of [0, 1]) sysfs.set(index, { pid: 1, backend: 'qemu', size: SIZE });
  kernel.addsDevices = false;
  const busy = { code: 'BUSY', message: /all 2 NBD devices are in use.*nbds_max/ };
  await t.rejects(manager.attach({ export: 'web' }), busy);
  await pause(50);
  t.equal(kernel.calls.filter((each) => each.startsWith('reconfigure')).length, 0);
});

await test('simultaneous attaches choose different devices', async (t) => {
  const { kernel, sysfs, image, live } = makeWorld(t, 6);
  sysfs.set(1, { pid: 7, backend: 'qemu', size: SIZE });
  const { manager } = await live({ web: image });
  kernel.before = () => pause(10);
  const all = await Promise.all(
    Array.from({ length: 5 }, (_, i) =>
      manager.attach(i % 2 === 0 ? { export: 'web' } : { image: [image] }),
    ),
  );
  t.same(
    all.map(({ device }) => device).toSorted(),
    [0, 2, 3, 4, 5].map((i) => `/dev/nbd${i}`),
  );
  for (const index of [0, 2, 3, 4, 5]) t.same(await kernel.read(index, 1, 999), part(1, 999));
  await manager.detach('nbd0', {});
  t.same(await kernel.read(2, 0, 512), part(0, 512), 'other devices of the same image go on');
});

await test('if all devices are in use the kernel makes another one, up to a limit', async (t) => {
  const { kernel, sysfs, image, live } = makeWorld(t, 2);
  sysfs.set(0, { pid: 7, backend: 'qemu', size: SIZE });
  const { manager } = await live({ web: image });
  const devices: string[] = [];
  for (let i = 0; i < 8; i++) devices.push((await manager.attach({ export: 'web' })).device);
  t.same(
    devices,
    [1, 2, 3, 4, 5, 6, 7, 8].map((i) => `/dev/nbd${i}`),
  );
  t.same(await kernel.read(8, 1, 999), part(1, 999));
  const limit = { code: 'BUSY', message: /8 devices attached.*--max-devices/ };
  await t.rejects(manager.attach({ export: 'web' }), limit);
  await t.rejects(manager.attach({ export: 'web', index: 20 }), limit);
  await manager.detach('nbd3', {});
  // Another daemon got it first.
  kernel.before = (what, index) => {
    if (what !== 'connect' || index !== 3) return;
    sysfs.set(3, { pid: 8, backend: 'overlaybd-nbd:00000000000000aa', size: SIZE });
    throw new OverlaybdError('BUSY', '/dev/nbd3: in use');
  };
  t.equal((await manager.attach({ export: 'web' })).device, '/dev/nbd9');
});

await test('detach of a device that is open, for a moment and for long', async (t) => {
  const { kernel, image, live } = makeWorld(t);
  const { manager } = await live();
  await manager.attach({ image: [image] });
  kernel.open.add(0);
  await t.rejects(manager.detach('nbd0', {}), { code: 'BUSY' });
  t.same(await kernel.read(0, 0, 999), part(0, 999), 'the device goes on');
  t.equal((await manager.status())[0]?.reconnects, 0);
  setTimeout(() => kernel.open.clear(), 200);
  await manager.detach('nbd0', {});
  t.equal(kernel.devices.size, 0);
  const { device } = await manager.attach({ image: [image] });
  await manager.detach(device, { onClose: true });
  kernel.open.add(0);
  await manager.detach(device, { force: true });
  t.match(kernel.calls.slice(-2), ['disconnectOnClose 0', 'disconnect 0']);
});

await test('a device that is busy for a moment is retried, but not for long', async (t) => {
  const { kernel, image, live } = makeWorld(t, 3);
  const { manager } = await live();
  let refusals = 3;
  kernel.before = (_what, index) => {
    if (index === 0 || refusals-- > 0) throw new OverlaybdError('BUSY', `/dev/nbd${index}: in use`);
  };
  const { device } = await manager.attach({ image: [image] });
  t.match(device, /nbd[12]/);
  t.same(
    kernel.calls.slice(0, 3),
    ['connect 0', 'connect 1', 'connect 2'],
    'other devices come first',
  );
  const begin = performance.now();
  await t.rejects(manager.attach({ image: [image], index: 0 }), { code: 'BUSY' });
  t.ok(performance.now() - begin > 1000, 'it was tried for a while');
  t.equal(manager.size, 1);
});

await test('dead connections are replaced, and only those', async (t) => {
  const { kernel, image, live, records } = makeWorld(t);
  const { manager, reactors, log } = await live();
  await manager.attach({ image: [image], connections: 4 });
  const { sockets: before = [] } = kernel.devices.get(0) ?? {};
  t.same(await kernel.read(0, 0, 1000), part(0, 1000));
  t.same(await kernel.read(0, 0, 1000, 1), part(0, 1000));
  // Ends that the daemon sees one after the other may be repaired one after the other.
  const replaced = (): number =>
    kernel.calls.reduce(
      (sum, call) => sum + Number(/^reconfigure (\d+) 0$/.exec(call)?.[1] ?? 0),
      0,
    );
  kernel.kill(0, 0);
  kernel.kill(0, 1); // that was the third one
  const has = (): number | undefined => kernel.devices.get(0)?.sockets.length;
  await until(() => replaced() >= 2 && has() === 4);
  t.equal(replaced(), 2);
  t.ok(
    kernel.devices
      .get(0)
      ?.sockets.slice(0, 2)
      .every((fd) => before.includes(fd)),
  );
  for (const which of [0, 1, 2, 3]) t.same(await kernel.read(0, 512, 99, which), part(512, 99));
  t.match(await manager.status(), [
    {
      state: 'connected',
      liveConnections: 4,
      requests: 6,
      bytesSent: 2 * 1016 + 4 * 115,
    },
  ]);
  await until(() =>
    log.some((line) => /^info: \/dev\/nbd0: got [12] new connections?$/.test(line)),
  );
  for (const _ of [0, 1, 2, 3]) kernel.kill(0);
  await until(() => replaced() >= 6 && has() === 4);
  t.equal(replaced(), 6);
  t.same(await kernel.read(0, 0, SIZE), disk);
  t.equal(reactors.connections, 4);
  t.equal(records().length, 1);
});

await test('sockets that the kernel does not accept are offered again later', async (t) => {
  const { kernel, image, live } = makeWorld(t);
  const { manager } = await live();
  await manager.attach({ image: [image], connections: 2 });
  // The kernel has not noticed yet that a connection is dead.
  kernel.connections.set(0, 1);
  kernel.kill(0);
  await until(() => kernel.calls.length >= 3);
  t.same(kernel.calls.slice(1, 3), ['reconfigure 1 0', 'reconfigure 1 0']);
  kernel.connections.set(0, 2);
  await until(async () => kernel.devices.get(0)?.sockets.length === 2);
  await pause(100);
  t.match(await manager.status(), [{ liveConnections: 2 }]);
});

await test('a kernel that refuses is asked again after increasing waits', async (t) => {
  const { kernel, image, live } = makeWorld(t);
  const { manager, log } = await live();
  await manager.attach({ image: [image], connections: 1, deadConnTimeoutSeconds: 1 });
  const times: number[] = [];
  kernel.before = (what) => {
    if (!what.startsWith('reconfigure')) return;
    times.push(performance.now());
    throw new OverlaybdError('IO', 'the kernel does not like it');
  };
  kernel.kill(0);
  await until(async () => (await manager.status())[0]?.state === 'waiting');
  await until(() => times.length === 6);
  // A timer is never early, but may be late on a busy machine.
  const waits = times.slice(1).map((at, i) => at - (times[i] ?? 0));
  t.ok(
    waits.every((wait, i) => wait > 38 * 2 ** i),
    `${waits.map(Math.round).join(' ')}: at least 40 80 160 320 640`,
  );
  t.ok(log.includes('error: /dev/nbd0: the kernel does not like it'));
  await until(async () => (await manager.status())[0]?.state === 'failed');
  kernel.before = () => undefined;
  await until(async () => (await manager.status())[0]?.state === 'connected');
  // The daemon's own timer was set first.
  await until(() => kernel.devices.get(0)?.sockets.length === 1);
  t.same(await kernel.read(0, 3, 30), part(3, 30));
});

await test('a device that the kernel has disconnected is forgotten', async (t) => {
  const { kernel, sysfs, image, records, live } = makeWorld(t);
  const { manager, idle, log } = await live();
  await manager.attach({ image: [image] });
  await manager.attach({ image: [image] });
  kernel.drop(0);
  await until(() => manager.size === 1);
  t.equal(records().length, 1);
  t.notOk(idle());
  t.same(await kernel.read(1, 0, 100), part(0, 100), 'the other device goes on');
  kernel.drop(1);
  sysfs.set(1, { pid: 9, backend: 'qemu', size: SIZE });
  await until(() => manager.size === 0);
  t.equal(idle(), 1);
  t.ok(log.includes('info: /dev/nbd1: the kernel has disconnected it'));
  t.notOk(
    kernel.calls.some((each) => each.startsWith('reconfigure')),
    "another's is not touched",
  );
});
