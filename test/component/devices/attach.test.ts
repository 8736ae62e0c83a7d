// What can be attached: whole images, partitions, images of odd sizes, and images that are attached already; against a
// fake kernel.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { writeMbr } from '../../support/partition-writer.js';
import { SIZE, disk, makeWorld, part, until } from './device-world.js';

await test('attaching an attached image again returns the same device', async (t) => {
  const { kernel, image, folder, live } = makeWorld(t);
  const other = join(folder, 'other.img');
  writeFileSync(other, disk.subarray(0, 4096));
  const { manager, log } = await live({ web: image, more: image, other });
  const first = await manager.attach({ export: 'web', index: 2, connections: 2 });
  for (const request of [{}, { connections: 2 }, { connections: 4, timeoutSeconds: 3 }]) {
    const again = await manager.attach({ export: 'web', index: 2, ...request });
    t.match(again, { id: first.id, device: '/dev/nbd2', connections: 2, state: 'connected' });
  }
  const [warning] = log.filter((line) => line.startsWith('warn: ')).slice(-1);
  t.match(warning, /warn: .*nbd2: attached already; it keeps its connections=2, timeout.*=10/);
  t.equal(kernel.calls.filter((each) => each === 'connect 2').length, 1);
  const holder = { code: 'BUSY', message: /nbd2: in use: this daemon has attached .*"web" to it$/ };
  await t.rejects(manager.attach({ export: 'more', index: 2 }), holder, 'another export');
  await t.rejects(manager.attach({ image: [image], index: 2 }), holder, 'not an export');
  const file = await manager.attach({ image: [other], index: 3 });
  t.equal((await manager.attach({ image: [other], index: 3 })).id, file.id);
  await t.rejects(manager.attach({ export: 'other', index: 3 }), { message: /other\.img/ });
  t.equal(
    (await manager.attach({ export: 'web' })).device,
    '/dev/nbd0',
    'a free device, if none is named',
  );

  // Refused to stop, asked to start again, and then stopped: as a systemd unit does.
  kernel.open.add(2);
  await t.rejects(manager.detach('nbd2', {}), { code: 'BUSY', message: /unmount first.*--force/ });
  t.equal((await manager.attach({ export: 'web', index: 2 })).id, first.id);
  t.same(await kernel.read(2, 0, 999), part(0, 999));
  kernel.open.clear();
  await manager.detach('nbd2', {});
  kernel.drop(3);
  await until(() => manager.size === 1);
  t.not((await manager.attach({ export: 'web', index: 2 })).id, first.id);
});

await test('an image that does not end at a block boundary is padded with zeros', async (t) => {
  const { kernel, folder, live, records } = makeWorld(t);
  const odd = join(folder, 'odd.img');
  writeFileSync(odd, disk.subarray(0, 5000));
  const first = await live();
  for (const [index, blockSize, size] of [
    [0, 512, 5120],
    [1, 4096, 8192],
  ] as const) {
    t.match(await first.manager.attach({ image: [odd], index, blockSize }), { size, blockSize });
    t.match(kernel.devices.get(index)?.request, { size, blockSize });
    t.same(
      await kernel.read(index, 0, size),
      Buffer.concat([part(0, 5000), Buffer.alloc(size - 5000)]),
    );
  }
  t.match(await first.manager.attach({ image: [odd], index: 1 }), { reused: true });
  t.match(await first.manager.attach({ image: [odd], index: 2, sizeMultiple: 4096 }), {
    size: 8192,
    blockSize: 512,
  });
  await first.die();
  const second = await live();
  await second.manager.recover();
  await second.manager.repairAll(8000);
  await until(() => kernel.devices.get(1)?.sockets.length === 2);
  t.same(await kernel.read(1, 4096, 4096), Buffer.concat([part(4096, 904), Buffer.alloc(3192)]));
  t.same(
    records()
      .map(({ size }) => size)
      .toSorted((a, b) => a - b),
    [5120, 8192, 8192],
  );
});

await test('one partition of an image', async (t) => {
  const { kernel, folder, live } = makeWorld(t);
  const path = join(folder, 'parted.img');
  const bytes = Buffer.from(disk);
  writeMbr(bytes, [
    { type: 0x83, begin: 64, count: 100 },
    { type: 0x83, begin: 200, count: 1000 },
  ]);
  writeFileSync(path, bytes);
  const first = await live({ web: path });
  const { manager } = first;
  const whole = await manager.attach({ image: [path] });
  const second = await manager.attach({ image: [path], partition: 2, index: 1 });
  t.equal(second.size, 1000 * 512);
  t.same(await kernel.read(1, 0, 1000 * 512), part(200 * 512, 1000 * 512));
  t.match(await manager.attach({ export: 'web', partition: 1, index: 2 }), { size: 100 * 512 });
  t.same(await kernel.read(0, 0, 4096), bytes.subarray(0, 4096), 'the whole disk');
  t.match(await manager.attach({ image: [path], partition: 2, index: 1 }), { reused: true });
  for (const request of [
    { image: [path], index: 1 },
    { image: [path], index: 1, partition: 1 },
    { image: [path], index: 0, partition: 1 },
    { export: 'web', index: 2 },
  ]) {
    await t.rejects(manager.attach(request), { code: 'BUSY' }, JSON.stringify(request));
  }
  const none = { code: 'NOT_FOUND', message: /partition 3: not in the mbr.*it has 1, 2/ };
  await t.rejects(manager.attach({ image: [path], partition: 3 }), none);
  await manager.detach(whole.id, {});
  await first.die();
  const next = await live({ web: path });
  await next.manager.recover();
  await next.manager.repairAll(8000);
  await until(() => kernel.devices.get(1)?.sockets.length === 2);
  t.same(
    await kernel.read(1, 512, 512),
    part(201 * 512, 512),
    'the same partition after the daemon died',
  );
});

await test('the error for a device in use names its holder', async (t) => {
  const { sysfs, image, live, kernel } = makeWorld(t);
  const { manager } = await live({ web: image });
  kernel.before = (_, index) => {
    throw new OverlaybdError('BUSY', `/dev/nbd${index}: in use`);
  };
  const cases = [
    [{ backend: 'overlaybd-nbd:00000000000000aa' }, /another daemon of overlaybd-nbd.*00aa/],
    [{ backend: 'qemu\u202e' }, /process 1 \(.+\) has connected it \(backend qemu\\u\{202e\}\)/],
    [{}, /process 1 \(.+\) has connected it$/],
  ] as const;
  for (const [device, message] of cases) {
    sysfs.set(1, { pid: 1, size: SIZE, ...device });
    await t.rejects(manager.attach({ export: 'web', index: 1 }), { code: 'BUSY', message });
  }
});
