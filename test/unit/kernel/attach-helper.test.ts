// The attach helper and the driver that calls it, over a real Unix socket with a fake kernel.
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { test, type Test } from 'tap';
import { errorOf } from '../../../daemon/lib/fault.js';
import { MessageChannel } from '../../../daemon/ipc/message-channel.js';
import { AttachHelper, MAX_CONNECTIONS_PER_USER } from '../../../daemon/kernel/attach-helper.js';
import { HelperDriver } from '../../../daemon/kernel/helper-driver.js';
import { MAX_WAITING_REQUESTS } from '../../../daemon/kernel/helper-protocol.js';
import { Sysfs } from '../../../daemon/kernel/sysfs.js';
import { EBADF } from '../../../daemon/lib/errno.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import { Listener } from '../../../daemon/listen/listener.js';
import { openListening } from '../../../daemon/listen/listening-socket.js';
import { listenerSpec } from '../../../daemon/config/listener.js';
import { shortFolder } from '../../support/daemon-process.js';
import { FakeDriver } from '../../support/fake-driver.js';
import { FakeSysfs } from '../../support/fake-sysfs.js';
import type { ConnectRequest } from '../../../daemon/kernel/device-settings.js';
import { fallsTo, openDescriptors } from '../../support/descriptors.js';
import { until } from '../../support/until.js';
import { deferred } from '../../support/deferred.js';

const backend = (n: number): string => `overlaybd-nbd:${String(n).padStart(16, '0')}`;
const ownerOf = (n: number) => ({ backend: backend(n), kernelPid: null });
const request = (index: number): ConnectRequest => ({
  index,
  size: 1 << 20,
  blockSize: 512,
  timeoutSeconds: 10,
  deadConnTimeoutSeconds: 90,
  serverFlags: 3,
  backend: backend(index),
});

interface World {
  kernel: FakeDriver;
  sysfs: FakeSysfs;
  path: string;
  log: string[];
  /** How often the helper was called because its last client disconnected. */
  idle: number;
  helper: AttachHelper;
  stop: () => void;
}

async function startHelper(t: Test, path: string, users: number[] = []): Promise<World> {
  const sysfs = new FakeSysfs(t, 4);
  const kernel = new FakeDriver(sysfs);
  const world: Omit<World, 'helper' | 'stop'> = { kernel, sysfs, path, log: [], idle: 0 };
  const log = (level: string, message: string): void => void world.log.push(`${level}: ${message}`);
  const helper = new AttachHelper({
    driver: kernel,
    sysfs: new Sysfs(sysfs.root),
    users,
    log,
    idle: () => world.idle++,
  });
  const [socket] = await openListening(listenerSpec(`unix://${path}`));
  if (!socket) throw new Error('no socket');
  const listener = new Listener(
    socket,
    path,
    (fd) => helper.adopt(fd),
    (each) => t.fail(each),
  );
  const stop = (): void => {
    listener.close();
    helper.close();
    kernel.dropAll();
  };
  t.teardown(stop);
  return Object.assign(world, { helper, stop });
}

async function ask(path: string): Promise<void> {
  await new HelperDriver(path).disconnect(0, ownerOf(0));
}

await test('every request reaches the kernel and is answered', async (t) => {
  const world = await startHelper(t, join(shortFolder(t), 'helper'));
  const { kernel, log } = world;
  const driver = new HelperDriver(world.path);
  t.teardown(() => driver.close());
  t.ok(driver.survives);
  const [ours, theirs] = sockets.pair();
  t.teardown(() => descriptors.close(ours));
  // The record of a device may have more keys than the request.
  await driver.connect(request(1), [theirs]);
  descriptors.close(theirs);
  t.same(kernel.devices.get(1)?.request, request(1));
  t.equal(sockets.send(ours, Buffer.from('x'), 0, 1), 1, 'the kernel has the socket');
  const [ours2, theirs2] = sockets.pair();
  t.teardown(() => descriptors.close(ours2));
  await driver.reconfigure(1, ownerOf(1), [theirs2]);
  descriptors.close(theirs2);
  t.equal(kernel.devices.get(1)?.sockets.length, 2);
  await driver.disconnectOnClose(1, ownerOf(1));
  kernel.open.add(1);
  await t.rejects(driver.release(1, ownerOf(1), true), { code: 'BUSY' });
  kernel.open.clear();
  await driver.release(1, ownerOf(1), false);
  t.equal(kernel.devices.size, 0);
  await driver.connect(request(1), []);
  await driver.disconnect(1, ownerOf(1));
  t.equal(kernel.devices.size, 0);
  t.same(kernel.calls, [
    'connect 1',
    'reconfigure 1 1',
    'disconnectOnClose 1',
    'release onClose 1',
    'release 1',
    'connect 1',
    'disconnect 1',
  ]);
  t.equal(log.length, 6, 'refused requests are not logged as errors');
  t.match(log[0], /^info: pid \d+ uid \d+: connect \/dev\/nbd1 \(overlaybd-nbd:0+1\)$/);
  t.match(log[5], /disconnect \/dev\/nbd1/);
});

await test('errors reach the driver unchanged, and no descriptor stays open', async (t) => {
  const world = await startHelper(t, join(shortFolder(t), 'helper'));
  const driver = new HelperDriver(world.path);
  t.teardown(() => driver.close());
  const pairs = sockets.pair();
  t.teardown(() => pairs.forEach((fd) => descriptors.close(fd)));
  await driver.connect(request(0), [pairs[1]]);
  const before = openDescriptors();
  const inUse = { code: 'BUSY', message: /nbd0: in use/ };
  await t.rejects(driver.connect(request(0), [pairs[1]]), inUse);
  await t.rejects(driver.disconnect(0, ownerOf(7)), {
    code: 'DEVICE',
    message: /not connected as/,
    facts: { device: '/dev/nbd0' },
  });
  world.kernel.before = () => {
    throw errorOf('DEVICE', { got: 2 }, 'outer', errorOf('IO', { path: '/sys' }, 'inner'));
  };
  await t.rejects(driver.connect(request(1), pairs), {
    code: 'DEVICE',
    facts: { got: 2, path: '/sys', device: '/dev/nbd1' },
    cause: { code: 'IO', message: '/sys: inner' },
  });
  world.kernel.before = () => {
    throw new TypeError('a bug of the kernel');
  };
  const bug = { code: 'BUG', message: 'a bug of the kernel' };
  await t.rejects(driver.connect(request(1), pairs), bug);
  await t.rejects(driver.connect({ ...request(1), backend: 'qemu' }, pairs), {
    code: 'PROTOCOL',
    message: /attach helper: a wrong request: request\.backend/,
  });
  t.same(
    world.kernel.calls,
    ['connect 0', 'connect 0', 'connect 1', 'connect 1'],
    'invalid requests and devices of other owners do not reach the kernel',
  );
  t.ok(await fallsTo(before), 'no descriptor stays open');
});

await test('answers go to the asking daemon, in order, one after the other', async (t) => {
  const world = await startHelper(t, join(shortFolder(t), 'helper'));
  const driver = new HelperDriver(world.path);
  t.teardown(() => driver.close());
  let inside = 0;
  let most = 0;
  world.kernel.before = async (_what, index) => {
    most = Math.max(most, ++inside);
    // Later requests would finish sooner.
    await pause(40 - index * 10);
    inside--;
    if (index === 2) throw errorOf('BUSY', {}, 'two');
  };
  const order: string[] = [];
  const all = [0, 1, 2, 3].map((index) =>
    driver.connect(request(index), []).then(
      () => order.push(`${index}`),
      (error: Error) => order.push(`${index} ${error.message}`),
    ),
  );
  await Promise.all(all);
  t.same(order, ['0', '1', '2 two', '3']);
  t.equal(most, 1);
});

await test('a helper that ends: callers get an error, the next helper serves', async (t) => {
  const path = join(shortFolder(t), 'helper');
  const first = await startHelper(t, path);
  const driver = new HelperDriver(path);
  t.teardown(() => driver.close());
  await driver.connect(request(0), []);
  first.kernel.before = () => new Promise(() => undefined);
  const waiting = [driver.connect(request(1), []), driver.disconnect(0, ownerOf(0))];
  for (const each of waiting) each.catch(() => undefined);
  await until(() => first.kernel.calls.length === 2);
  first.stop();
  for (const each of waiting) await t.rejects(each, { message: /the attach helper ended/ });
  t.notOk(existsSync(path));
  const attempt = async (): Promise<void> => driver.connect(request(1), []);
  await t.rejects(attempt(), {
    code: 'PERMISSION',
    message: /overlaybd-nbd-attach-helper\.socket/,
  });
  const second = await startHelper(t, path);
  await driver.connect(request(1), []);
  t.same(second.kernel.calls, ['connect 1']);
});

await test('no helper: the error tells what to start', async (t) => {
  const folder = shortFolder(t);
  await t.rejects(ask(join(folder, 'none')), {
    message: /it does not exist: enable overlaybd-nbd/,
  });
  const fd = sockets.listenUnix(join(folder, 'dead'), 1);
  descriptors.close(fd);
  await t.rejects(ask(join(folder, 'dead')), { message: /no process listens: restart/ });
  rmSync(join(folder, 'dead'));
});

await test('clients without permission and invalid messages are refused', async (t) => {
  const world = await startHelper(t, join(shortFolder(t), 'helper'), [process.getuid?.() ?? 0]);
  const { helper, log, kernel } = world;

  // A TCP socket has no user, so the client cannot be identified.
  const tcp = sockets.listenTcp('127.0.0.1', 0, 1);
  const { connect } = await import('node:net');
  const client = connect(sockets.localPort(tcp), '127.0.0.1');
  client.on('error', () => undefined);
  await new Promise((resolve) => client.once('connect', resolve));
  let fd = -1;
  await until(() => (fd = sockets.accept(tcp)) >= 0);
  helper.adopt(fd);
  t.equal(helper.connections, 0);
  t.match(log.at(-1), /warn: a client without a user: refused/);
  t.equal(sockets.recv(fd, Buffer.alloc(1), 0, 1), -EBADF, 'the connection is closed');
  client.destroy();
  descriptors.close(tcp);
  await pause(20);
  const before = openDescriptors();

  const nonsense = sockets.connectUnix(world.path);
  await until(() => helper.connections === 1);
  sockets.send(nonsense, Buffer.from('GET / HTTP/1.1\r\n\r\n'), 0, 18);
  await until(() => helper.connections === 0);
  t.match(log.at(-1), /warn: pid \d+ .*message channel/);
  descriptors.close(nonsense);

  const told: unknown[] = [];
  const wrong = new MessageChannel(sockets.connectUnix(world.path), {
    message: (message) => told.push(message),
    closed: () => undefined,
  });
  const pair = sockets.pair();
  wrong.send({ do: 'format' }, pair);
  wrong.send({ do: 'connect', request: request(3) }, []);
  await until(() => told.length === 2);
  t.match(told, [{ ok: false, code: 'PROTOCOL', message: /do:/ }, { ok: true }]);
  t.same(kernel.calls, ['connect 3']);
  const idle = world.idle;
  wrong.close();
  pair.forEach((each) => descriptors.close(each));
  await until(() => helper.connections === 0);
  t.equal(world.idle, idle + 1, 'called when the last client disconnected');
  await pause(20);
  t.ok(await fallsTo(before), 'no descriptor stays open');
});

await test('a device that another program has connected is not touched', async (t) => {
  for (const other of [undefined, 'qemu', 'overlaybd-nbd:00000000000000aa']) {
    const world = await startHelper(t, join(shortFolder(t), 'helper'));
    const driver = new HelperDriver(world.path);
    t.teardown(() => driver.close());
    world.sysfs.set(2, { pid: 77, size: 4096, ...(other !== undefined && { backend: other }) });
    for (const attempt of [
      () => driver.disconnect(2, { backend: 'overlaybd-nbd:0000000000000002', kernelPid: 77 }),
      () => driver.release(2, ownerOf(2), false),
      () => driver.disconnectOnClose(2, ownerOf(2)),
      () => driver.reconfigure(2, ownerOf(2), []),
    ]) {
      await t.rejects(
        attempt(),
        { code: 'DEVICE', message: /nbd2: (it is )?not (connected as|known to be) / },
        `backend ${other}`,
      );
    }
    // The request cannot name another process that connected the device.
    const told: { message?: string }[] = [];
    const raw = new MessageChannel(sockets.connectUnix(world.path), {
      message: (message) => told.push(message as { message?: string }),
      closed: () => undefined,
    });
    raw.send({ do: 'disconnect', index: 2, owner: { backend: 'overlaybd-nbd:x', kernelPid: 77 } });
    await until(() => told.length === 1);
    t.match(told, [{ ok: false, code: 'PROTOCOL' }]);
    raw.close();
    t.same(world.kernel.calls, [], 'the kernel was not called');
  }
});

await test('kernels without backends: only devices that this helper connected', async (t) => {
  const world = await startHelper(t, join(shortFolder(t), 'helper'));
  const { kernel, sysfs, helper } = world;
  kernel.keepsBackend = false;
  const driver = new HelperDriver(world.path);
  t.teardown(() => driver.close());
  t.notOk(helper.isNeeded);
  await driver.connect(request(1), []);
  t.ok(helper.isNeeded, 'no other process can answer for the device');
  await driver.reconfigure(1, ownerOf(1), []);
  await t.rejects(driver.disconnect(1, ownerOf(3)), { code: 'DEVICE' });
  // The device was disconnected, and another program has connected it.
  kernel.drop(1);
  t.notOk(helper.isNeeded);
  sysfs.set(1, { pid: 78, size: 4096 });
  await t.rejects(driver.disconnect(1, ownerOf(1)), { code: 'DEVICE', message: /not known to be/ });
  t.same(kernel.calls, ['connect 1', 'reconfigure 0 1']);
});

await test('queues are bounded, and a helper that does not answer times out', async (t) => {
  const world = await startHelper(t, join(shortFolder(t), 'helper'));
  const { kernel, log } = world;
  let inside = 0;
  kernel.before = async () => {
    inside++;
    await pause(1);
  };
  const patient = new HelperDriver(world.path);
  t.teardown(() => patient.close());
  await Promise.all(
    Array.from({ length: 3 * MAX_WAITING_REQUESTS }, (_, i) =>
      patient.connect({ ...request(i), index: 100 + i }, []),
    ),
  );
  t.equal(inside, 3 * MAX_WAITING_REQUESTS, 'the driver itself keeps within the limit');

  kernel.before = () => new Promise(() => undefined);
  const greedy = new MessageChannel(sockets.connectUnix(world.path), {
    message: () => undefined,
    closed: () => undefined,
  });
  const pair = sockets.pair();
  const before = openDescriptors();
  for (let i = 0; i <= MAX_WAITING_REQUESTS; i++) {
    greedy.send({ do: 'connect', request: request(1) }, pair);
  }
  await until(() => log.some((line) => /more than 64 requests/.test(line)));
  t.ok(
    openDescriptors() <= before + 2 * MAX_WAITING_REQUESTS,
    'the descriptors of the last request are closed',
  );
  greedy.close();
  for (const fd of pair) descriptors.close(fd);

  const impatient = new HelperDriver(world.path, 50);
  const all = [impatient.connect(request(2), []), impatient.disconnect(2, ownerOf(2))];
  for (const each of all) each.catch(() => undefined);
  for (const each of all) {
    await t.rejects(each, { code: 'NO_HELPER', message: /has not answered for 0\.05 s/ });
  }
});

await test('a daemon that dies while the kernel works on its request', async (t) => {
  const world = await startHelper(t, join(shortFolder(t), 'helper'));
  const before = openDescriptors();
  const { promise, resolve: go } = deferred();
  world.kernel.before = () => promise;
  const driver = new HelperDriver(world.path);
  const pair = sockets.pair();
  const asked = driver.connect(request(0), pair);
  asked.catch(() => undefined);
  await until(() => world.kernel.calls.length === 1);
  driver.close();
  await t.rejects(asked);
  await until(() => world.helper.connections === 0);
  world.kernel.before = () => undefined;
  go();
  await until(() => world.log.length === 1);
  pair.forEach((fd) => descriptors.close(fd));
  world.kernel.dropAll();
  t.ok(await fallsTo(before), 'no descriptor stays open');
});

await test('one user has no more than a share of the connections', async (t) => {
  const { path, log, helper } = await startHelper(t, join(shortFolder(t), 'helper'));
  const fds = Array.from({ length: MAX_CONNECTIONS_PER_USER }, () => sockets.connectUnix(path));
  await until(() => helper.connections === MAX_CONNECTIONS_PER_USER);
  const one = sockets.connectUnix(path);
  await until(() => log.length > 0);
  t.match(log, [/^warn: .*refused: user \d+ has 16 connections$/]);
  descriptors.close(one);
  descriptors.close(fds.pop() ?? -1);
  await until(() => helper.connections === MAX_CONNECTIONS_PER_USER - 1);
  const driver = new HelperDriver(path);
  t.teardown(() => driver.close());
  await driver.connect(request(1), []);
  for (const fd of fds) descriptors.close(fd);
});
