// Devices of a daemon that died or is replaced, and devices of other owners: against a fake kernel.
import { copyFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'tap';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { FAKE_PID } from '../../support/fake-driver.js';
import { SIZE, disk, makeWorld, part, until, type Life, type World } from './device-world.js';
import { deferred } from '../../support/deferred.js';

/** The successor of a daemon that died with this many devices of one image. */
async function recovered({ image, live }: World, devices: number): Promise<Life> {
  const first = await live();
  for (let i = 0; i < devices; i++) await first.manager.attach({ image: [image] });
  await first.die();
  const second = await live();
  await second.manager.recover();
  return second;
}

await test('after the daemon died its successor serves the same device and bytes', async (t) => {
  const { kernel, image, records, live } = makeWorld(t);
  const first = await live();
  const { id } = await first.manager.attach({ image: [image], connections: 2 });
  await first.manager.attach({ image: [image], connections: 1 });
  t.same(await kernel.read(0, 0, 1000), part(0, 1000));
  await first.die();
  await t.rejects(kernel.read(0, 0, 10));
  t.equal(records().length, 2, 'records stay');
  const second = await live();
  await second.manager.recover();
  t.equal(second.manager.size, 2);
  t.match(await second.manager.status(), [{ id, state: 'waiting', liveConnections: 0 }, {}]);
  t.notOk(
    kernel.calls.some((each) => each.startsWith('reconfigure')),
    'nothing happens before the repair is started',
  );
  await second.manager.repairAll(8000);
  await until(() => kernel.devices.get(1)?.sockets.length === 1);
  await until(() => kernel.devices.get(0)?.sockets.length === 2);
  t.same(kernel.calls.slice(2).toSorted(), ['reconfigure 1 1', 'reconfigure 2 0']);
  for (const which of [0, 1]) t.same(await kernel.read(0, 5, 50_000, which), part(5, 50_000));
  t.same(await kernel.read(1, 5, 5000), part(5, 5000));
  await second.manager.detach(id, {});
  t.equal(records().length, 1);
});

await test('a bug while the image of a device is opened has its stack in the log', async (t) => {
  const { image, live } = makeWorld(t);
  const first = await live();
  await first.manager.attach({ image: [image], connections: 1 });
  await first.die();
  const second = await live();
  second.images.open = () => Promise.reject(new TypeError('of the test'));
  await second.manager.recover();
  const line = second.lines.find(({ device }) => device === '/dev/nbd0');
  t.match(line, { code: 'BUG', message: /cannot be opened: BUG: TypeError: of the test\n {4}at / });
});

await test('waiting for repairs includes those that fail at first', async (t) => {
  const world = makeWorld(t);
  const { kernel } = world;
  const second = await recovered(world, 2);
  let failures = 3;
  kernel.before = (what) => {
    if (what.startsWith('reconfigure') && failures-- > 0) throw new Error('the helper is late');
  };
  t.same(await second.manager.repairAll(60_000), []);
  t.ok(failures < 0, 'some repairs failed');
  for (const which of [0, 1]) t.same(await kernel.read(which, 0, 512), part(0, 512));
});

await test('waiting for repairs has a time limit', async (t) => {
  const world = makeWorld(t);
  const { kernel } = world;
  const second = await recovered(world, 3);
  const late = deferred();
  kernel.before = async (what, index) => {
    if (what.startsWith('reconfigure') && index === 1) await late.promise;
  };
  kernel.drop(2);
  // Long enough for threads to start on a busy machine.
  t.same(
    await second.manager.repairAll(8000),
    ['/dev/nbd1'],
    'a device that is gone counts as done',
  );
  t.same(await kernel.read(0, 0, 512), part(0, 512));
  late.resolve();
  const works = (): Promise<boolean> =>
    kernel.read(1, 0, 512).then(
      () => true,
      () => false,
    );
  await until(works);
  t.same(await kernel.read(1, 0, 512), part(0, 512), 'it is repaired later');
});

await test('repairAll does not wait for a device that is detached, or in a daemon that stops', async (t) => {
  const world = makeWorld(t);
  const { kernel } = world;
  const second = await recovered(world, 2);
  const never = deferred();
  let asked = 0;
  kernel.before = async (what) => {
    if (!what.startsWith('reconfigure')) return;
    asked++;
    await never.promise;
  };
  const unrepaired = second.manager.repairAll(600_000);
  await until(() => asked === 2);
  await second.manager.detach('nbd0', { force: true });
  second.manager.stop();
  t.same(await unrepaired, []);
  t.same(await second.manager.repairAll(600_000), [], 'after the stop');
  never.resolve();
});

await test('devices of other owners and with other images are left alone', async (t) => {
  const { kernel, sysfs, image, folder, records, live } = makeWorld(t, 5);
  const first = await live();
  const own = join(folder, 'own.img');
  const missing = join(folder, 'missing.img');
  for (const path of [own, missing]) copyFileSync(image, path);
  await first.manager.attach({ image: [image] });
  await first.manager.attach({ image: [own] });
  await first.manager.attach({ image: [missing] });
  await first.manager.attach({ image: [image] });
  await first.die();
  kernel.drop(0);
  sysfs.set(0, { pid: 5, backend: 'overlaybd-nbd:0000000000000000', size: SIZE });
  const changed = Buffer.from(disk);
  changed[0] = (changed[0] ?? 0) ^ 1;
  writeFileSync(own, changed);
  copyFileSync(missing, `${missing}.away`);
  writeFileSync(missing, '');
  const second = await live();
  await second.manager.recover();
  await second.manager.repairAll(8000);
  await until(() => kernel.devices.get(3)?.sockets.length === 2);
  t.same(await kernel.read(3, 0, 512), part(0, 512));
  t.same(kernel.calls.slice(4), ['reconfigure 2 3'], 'no other device was touched');
  const { lines, log } = second;
  t.ok(log.some((line) => line.startsWith('info: /dev/nbd0: no longer attached')));
  t.match(
    lines.find(({ message }) => /nbd0: no longer attached/.test(`${message}`)),
    { device: '/dev/nbd0' },
  );
  t.match(
    lines.find(({ message }) => /nbd1 .*is not the image/.test(`${message}`)),
    { device: '/dev/nbd1', code: 'BAD_FORMAT', tries: 1 },
  );
  t.ok(
    log.some((line) => /^error: \/dev\/nbd1 .*is not the image/.test(line)),
    log.join('\n'),
  );
  t.ok(log.some((line) => /^error: \/dev\/nbd2 .*(cannot be opened|is not the image)/.test(line)));
  t.same(
    records()
      .map(({ index }) => index)
      .toSorted((a, b) => a - b),
    [1, 2, 3],
    'the record of a device that may come back stays',
  );
  await second.die();
  copyFileSync(`${missing}.away`, missing);
  const third = await live();
  await third.manager.recover();
  await third.manager.repairAll(8000);
  await until(() => kernel.devices.get(2)?.sockets.length === 2);
  t.same(await kernel.read(2, 9, 512), part(9, 512), 'it is served when its image is back');
  await third.manager.detach('nbd1', {});
  t.equal(kernel.calls.at(-1), 'release 1', 'the other device can at least be detached');
  t.same(
    records()
      .map(({ index }) => index)
      .toSorted((a, b) => a - b),
    [2, 3],
  );
  await t.rejects(third.manager.detach('nbd1', {}), { code: 'NOT_FOUND' });
});

await test('without backend names the process id tells the owner of a device', async (t) => {
  const { kernel, sysfs, image, records, live } = makeWorld(t);
  kernel.keepsBackend = false;
  const first = await live();
  await first.manager.attach({ image: [image] });
  t.equal(records()[0]?.kernelPid, FAKE_PID);
  await first.die();
  const second = await live();
  await second.manager.recover();
  await second.manager.repairAll(8000);
  await until(() => kernel.devices.get(0)?.sockets.length === 2);
  await second.die();
  sysfs.set(0, { pid: FAKE_PID + 1, size: SIZE });
  const third = await live();
  await third.manager.recover();
  t.equal(third.manager.size, 0, 'a device of another owner');
  t.same(records(), []);
});

await test('nothing is attached during and after a takeover', async (t) => {
  const { kernel, image, live } = makeWorld(t);
  const { manager } = await live();
  const taken = deferred();
  const upgrade = manager.undisturbed(async () => {
    await taken.promise;
    manager.stop();
  });
  const attached = manager.attach({ image: [image] });
  attached.catch(() => undefined);
  await pause(30);
  t.same(kernel.calls, []);
  taken.resolve();
  await upgrade;
  await t.rejects(attached, { code: 'BUSY', message: /try again$/ });
  t.ok(kernel.closed);
});

await test('devices that do not outlive the process leave no record', async (t) => {
  const { kernel, image, records, live } = makeWorld(t);
  kernel.survives = false;
  const { manager, die } = await live();
  t.ok(manager.movable);
  await manager.attach({ image: [image] });
  t.notOk(manager.movable);
  await die();
  t.same(records(), [], 'no record to look for later');
});

await test('a damaged record is left alone', async (t) => {
  const { folder, image, live } = makeWorld(t);
  const path = join(folder, 'devices', '0123456789abcdef.json');
  writeFileSync(path, '{"version": 1,');
  const { manager, log } = await live();
  await manager.recover();
  t.ok(log.some((line) => line.includes('0123456789abcdef.json: not a device')));
  t.ok(existsSync(path));
  t.equal(readFileSync(path, 'utf8'), '{"version": 1,');
  await manager.attach({ image: [image] });
});

await test('counters continue in a successor', async (t) => {
  const { kernel, image, live } = makeWorld(t);
  const first = await live();
  const { id } = await first.manager.attach({ image: [image], connections: 1 });
  await kernel.read(0, 0, 1000);
  kernel.kill(0);
  await until(async () => (await first.manager.status())[0]?.reconnects === 1);
  await kernel.read(0, 0, 500);
  const offered: unknown[] = [];
  await first.reactors.offer(5000, (each) => {
    offered.push(each.connection.counts);
    first.manager.offered(each);
    descriptors.close(each.connection.fd);
  });
  t.same(
    offered,
    [{ requests: 1, errors: 0, bytesSent: 516 }],
    'the counts of the connection that moves',
  );
  const counters = first.manager.counters();
  t.same(counters, [{ id, requests: 2, errors: 0, bytesSent: 1532, reconnects: 1 }]);
  await first.die();
  const second = await live();
  await second.manager.recover();
  await second.manager.repairAll(8000);
  second.manager.takeCounters([...counters, { ...counters[0]!, id: '00000000000000aa' }]);
  await until(() => kernel.devices.get(0)?.sockets.length === 1);
  await kernel.read(0, 0, 100);
  t.match(await second.manager.status(), [{ requests: 3, errors: 0, bytesSent: 1532 + 116 }]);
});

await test('a device is served when its image appears later', async (t) => {
  const { kernel, image, live } = makeWorld(t);
  const reads = (index: number): Promise<boolean> =>
    kernel.read(index, 0, 512).then(
      () => true,
      () => false,
    );
  const late = `${image}.late`;
  copyFileSync(image, late);
  const first = await live();
  await first.manager.attach({ image: [late], connections: 1 });
  await first.manager.attach({ image: [image], connections: 1 });
  await first.die();
  renameSync(late, `${late}.away`);
  const second = await live();
  await second.manager.recover();
  await second.manager.repairAll(8000);
  await until(() => reads(1));
  t.same(await kernel.read(1, 0, 512), part(0, 512), 'the other device does not wait for it');
  t.match(second.log, [/^error: \/dev\/nbd0 .*not served: .*ENOENT.*; tried again in 1 s$/]);
  t.match(second.lines, [{ device: '/dev/nbd0', code: 'NOT_FOUND', blob: late, tries: 1 }]);
  renameSync(`${late}.away`, late);
  await until(
    () => second.log.some((line) => /nbd0 .*: served again after \d tries/.test(line)),
    60_000,
  );
  await until(() => reads(0));
  t.same(await kernel.read(0, 9, 512), part(9, 512));
});

await test('a device with a missing image is forgotten if it is detached or disconnected', async (t) => {
  const { kernel, image, live, records } = makeWorld(t);
  const late = `${image}.late`;
  copyFileSync(image, late);
  const first = await live();
  for (let i = 0; i < 2; i++) await first.manager.attach({ image: [late], connections: 1 });
  await first.die();
  renameSync(late, `${late}.away`);
  const second = await live();
  const open = second.images.open.bind(second.images);
  const detached = deferred();
  let opening = 0;
  let gate: Promise<void> | null = null;
  second.images.open = async (source) => {
    opening++;
    try {
      const held = await open(source);
      await gate;
      return held;
    } finally {
      opening--;
    }
  };
  await second.manager.recover();
  t.match(await second.manager.status(), [{ state: 'failed' }, { state: 'failed' }]);
  kernel.drop(0);
  await until(() => second.log.includes('info: /dev/nbd0: the kernel has disconnected it'));
  t.match(await second.manager.status(), [{ device: '/dev/nbd1' }]);
  t.match(records(), [{ index: 1 }]);
  t.equal(second.idle(), 0);

  // The daemon's own attempt may be running, and must not find the image.
  await until(() => opening === 0);
  renameSync(`${late}.away`, late);
  gate = detached.promise;
  const again = second.manager.attach({ image: [late], index: 1 });
  await second.manager.detach('nbd1', { force: true });
  detached.resolve();
  await t.rejects(again, { message: /not served: it was detached meanwhile/ });
  t.same([await second.manager.status(), records(), second.idle()], [[], [], 1]);
});

await test('devices whose images open late are reported, and served when they can be', async (t) => {
  const { kernel, image, live } = makeWorld(t);
  const first = await live();
  for (let i = 0; i < 3; i++) await first.manager.attach({ image: [image], connections: 1 });
  await first.die();
  const second = await live();
  const open = second.images.open.bind(second.images);
  const gates = [deferred(), deferred()];
  let asked = 0;
  second.images.open = async (source) => {
    await gates[asked++]?.promise;
    return open(source);
  };
  await second.manager.recover(500);
  t.same(
    second.log.map((line) => line.replace(/nbd\d/, 'nbdX')),
    Array.from({ length: 2 }, () => {
      return 'warn: /dev/nbdX: its image is not open after 0.5 s; the daemon is ready without it';
    }),
  );
  t.same(await second.manager.repairAll(8000), []);
  const served = (): number => {
    return [...kernel.calls].filter((each) => each.startsWith('reconfigure')).length;
  };
  t.equal(served(), 1);
  gates[1]?.resolve();
  await until(() => served() === 2);
  gates[0]?.resolve();
  await until(() => served() === 3);
  for (const index of [0, 1, 2]) {
    const reads = (): Promise<boolean> =>
      kernel.read(index, 0, 512).then(
        () => true,
        () => false,
      );
    await until(reads);
  }
});
