// Connections that a fake kernel does not read until earlier ones have ended, as Linux does when it is short of
// threads; and one that reads everything, but slowly.
import { setTimeout as pause } from 'node:timers/promises';
import { test, type Test } from 'tap';
import { EAGAIN } from '../../../daemon/lib/errno.js';
import { sockets } from '../../../daemon/native/socket.js';
import type { Offer } from '../../../daemon/reactor/pool.js';
import { requestBytes } from '../../support/nbd-client.js';
import { makeWorld, part, until, type Life } from './device-world.js';

const LENGTH = 4096;

function ask(fd: number, offset: number): void {
  const request = requestBytes({ cookie: 7n, offset, length: LENGTH });
  if (sockets.send(fd, request, 0, request.length) !== request.length) throw new Error('send');
}

/** The bytes that are there now, without waiting. */
function take(fd: number): Buffer {
  const bytes = Buffer.alloc(16 + LENGTH);
  const n = sockets.recv(fd, bytes, 0, bytes.length);
  return n === -EAGAIN ? Buffer.alloc(0) : bytes.subarray(0, n);
}

await test('if a connection is not read, those before it are replaced', async (t) => {
  const { kernel, image, live } = makeWorld(t);
  const { manager, log } = await live();
  await manager.attach({ image: [image], connections: 3 });
  const [first = -1, second = -1, third = -1] = kernel.devices.get(0)?.sockets ?? [];
  // Sent when its connection is about to end.
  ask(second, 8192);
  await until(() => sockets.untaken(second) >= 0 && take(second).length > 0);
  ask(third, 512);
  await until(() => sockets.peerClosed(first) === 1 && sockets.peerClosed(second) === 1);
  t.equal(sockets.peerClosed(third), 0, 'not the connection itself');
  t.same(take(third).subarray(16), part(512, LENGTH), 'its reply has arrived');
  const facts = /nbd0: the kernel does not read connection 3; replacing connection 1/;
  t.ok(log.some((line) => facts.test(line)));
  await until(async () => (await manager.status())[0]?.liveConnections === 3);
  await until(
    () => kernel.devices.get(0)?.sockets.every((fd) => sockets.peerClosed(fd) === 0) === true,
  );
  for (const which of [0, 1, 2]) t.same(await kernel.read(0, 99, 99, which), part(99, 99));
  const { length } = kernel.calls;
  await pause(600);
  t.equal(kernel.calls.length, length);
  t.match(await manager.status(), [{ liveConnections: 3 }], 'no further repair');
});

await test('while a detach waits for users of the device, its connections are watched', async (t) => {
  const { kernel, image, live } = makeWorld(t);
  const { manager } = await live();
  await manager.attach({ image: [image], connections: 2 });
  const [first = -1, second = -1] = kernel.devices.get(0)?.sockets ?? [];
  kernel.open.add(0);
  // To see whether a device is in use the daemon opens it, which waits for reads.
  kernel.before = async (what) => {
    if (what === 'release') await until(() => sockets.peerClosed(first) === 1);
  };
  const detached = manager.detach('nbd0', {}).then(
    () => t.fail('it is open'),
    (error: unknown) => t.match(error, { code: 'BUSY' }),
  );
  await until(() => kernel.calls.includes('release 0'));
  ask(second, 8192);
  await detached;
  t.match(await manager.status(), [{ liveConnections: 2 }], 'repaired before the answer');
  t.same(take(second).subarray(16), part(8192, LENGTH));
  kernel.open.clear();
  kernel.before = () => undefined;
  await manager.detach('nbd0', {});
  t.same(await manager.status(), []);
});

/** Replaces the daemon of a device with three connections. @param passing called before they pass to the successor */
async function upgraded(
  t: Test,
  passing: (third: number, before: Life) => Promise<void>,
): Promise<{ after: Life; fds: readonly number[] }> {
  const { kernel, image, live } = makeWorld(t);
  const before = await live();
  const { id } = await before.manager.attach({ image: [image], connections: 3 });
  const fds = [...(kernel.devices.get(0)?.sockets ?? [])];
  before.manager.stop();
  await passing(fds[2] ?? -1, before);
  const offers: Offer[] = [];
  await before.reactors.offer(120_000, (offer) => offers.push(offer));
  for (const offer of offers) before.manager.offered(offer);
  const after = await live();
  await after.manager.recover();
  // The last one comes first.
  offers.sort((a, b) => b.connection.id - a.connection.id);
  for (const { connection } of offers) {
    after.manager.take(id, connection.fd, connection.transmission);
  }
  await before.die();
  return { after, fds };
}

async function checkThirdIsRead(t: Test, { after, fds }: { after: Life; fds: readonly number[] }) {
  const [first = -1, second = -1, third = -1] = fds;
  await until(() => sockets.peerClosed(first) === 1 && sockets.peerClosed(second) === 1);
  t.equal(sockets.peerClosed(third), 0, 'not the connection itself');
  t.same(take(third).subarray(16), part(512, LENGTH));
  await until(async () => (await after.manager.status())[0]?.liveConnections === 3);
}

await test('connections of a predecessor are watched, in whatever order they came', async (t) => {
  const both = await upgraded(t, () => Promise.resolve());
  ask(both.fds[2] ?? -1, 512);
  await checkThirdIsRead(t, both);
});

await test('so is a reply that the predecessor has sent', async (t) => {
  const both = await upgraded(t, async (third, { reactors }) => {
    ask(third, 512);
    await until(async () =>
      [...(await reactors.count()).values()].some(({ bytesSent }) => bytesSent > 0),
    );
  });
  await checkThirdIsRead(t, both);
});

await test('requests that arrive before the end are answered', async (t) => {
  const { kernel, image, live } = makeWorld(t);
  const { manager, reactors } = await live();
  await manager.attach({ image: [image], connections: 1 });
  const [fd = -1] = kernel.devices.get(0)?.sockets ?? [];
  for (const id of (await reactors.count()).keys()) {
    ask(fd, 4096);
    reactors.endInput(id);
  }
  let reply = Buffer.alloc(0);
  await until(() => (reply = Buffer.concat([reply, take(fd)])).length === 16 + LENGTH);
  t.same(reply.subarray(16), part(4096, LENGTH));
  await until(() => sockets.peerClosed(fd) === 1);
});

await test('a slow kernel is left alone', async (t) => {
  const { kernel, image, live } = makeWorld(t);
  const { manager } = await live();
  await manager.attach({ image: [image], connections: 2 });
  const [, second = -1] = kernel.devices.get(0)?.sockets ?? [];
  for (let i = 0; i < 8; i++) {
    ask(second, 0);
    await pause(80);
    if (i % 2 === 1) take(second);
  }
  while (take(second).length > 0);
  await pause(500);
  t.match(await manager.status(), [{ liveConnections: 2, reconnects: 0 }]);
});
