// The sockets of the addon: listeners, accept, names, recv and send. Poll has its own test.
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import {
  EADDRINUSE,
  EAFNOSUPPORT,
  EAGAIN,
  EBADF,
  ECONNREFUSED,
  EINVAL,
  ENAMETOOLONG,
  ENOENT,
  ENOTSOCK,
  EPIPE,
  EPROTOTYPE,
} from '../../../daemon/lib/errno.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { SHUT_RD, SHUT_RDWR, VSOCK_CID_ANY, sockets } from '../../../daemon/native/socket.js';
import { boundSocket } from '../../support/bound-socket.js';

const NO_SUCH_FD = 1_000_000;

/** Listens, and closes at the end of the test. */
function listening(test: Test, fd: number): number {
  test.ok(fd >= 0, 'is listening');
  test.teardown(() => descriptors.close(fd));
  return fd;
}

/** A connection may not be in the backlog yet when connect has returned. */
async function accepted(listener: number): Promise<number> {
  for (;;) {
    const fd = sockets.accept(listener);
    if (fd !== -EAGAIN) return fd;
    // oxlint-disable-next-line no-await-in-loop
    await sleep(1);
  }
}

/** A folder whose path is short enough for sun_path. */
function socketFolder(test: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'obd-'));
  test.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

for (const [host, shown] of [
  ['127.0.0.1', '127.0.0.1'],
  ['::1', '[::1]'],
] as const) {
  await t.test(`TCP at ${host}: listen, accept, recv, send`, async (test) => {
    const listener = sockets.listenTcp(host, 0, 8);
    if (host === '::1' && listener < 0) {
      test.equal(host, '::1');
      test.comment(`SKIPPED: no IPv6 on this machine (${listener})`);
      return;
    }
    listening(test, listener);
    const port = sockets.localPort(listener);
    test.ok(port > 0 && port <= 65535, 'has a port');
    test.equal(sockets.accept(listener), -EAGAIN, 'no connection yet');
    test.equal(sockets.listenTcp(host, port, 8), -EADDRINUSE);

    const client = connect(port, host);
    const fd = await accepted(listener);
    test.ok(fd >= 0, 'accepts');
    test.equal(sockets.localPort(fd), port);
    if (!client.localPort) await once(client, 'connect');
    test.same(sockets.peerAddress(fd), { kind: 'tcp', host: shown, port: client.localPort });

    const buffer = Buffer.alloc(16);
    test.equal(sockets.recv(fd, buffer, 0, 16), -EAGAIN);
    const ended = once(client, 'end');
    client.once('data', (data) => test.same(data, Buffer.from('pong')));
    test.equal(sockets.send(fd, Buffer.from('-pong-'), 1, 4), 4);
    test.equal(sockets.shutdown(fd), 0);
    await ended;
    client.destroy();
    test.equal(descriptors.close(fd), 0);
  });
}

await t.test('an IPv6 listener leaves the IPv4 port free', async (test) => {
  const six = sockets.listenTcp('::', 0, 1);
  if (six < 0) {
    test.ok([-EAFNOSUPPORT, -EADDRINUSE].includes(six), 'no IPv6 on this machine');
    return;
  }
  listening(test, six);
  listening(test, sockets.listenTcp('0.0.0.0', sockets.localPort(six), 1));
});

await t.test('a host must be a numeric address', async (test) => {
  const hosts = [
    'localhost',
    '',
    '1',
    '127.1',
    '127.0.0.1 ',
    '::1::',
    'fe80::1%no-such-if',
    '::1%',
  ];
  for (const host of [...hosts, 'a'.repeat(1000), `${'1'.repeat(60)}::1`]) {
    test.equal(sockets.listenTcp(host, 0, 1), -EINVAL, host.slice(0, 20));
  }
});

await t.test('TCP: a peer that takes nothing ends by the user timeout', async (test) => {
  const listener = listening(test, sockets.listenTcp('127.0.0.1', 0, 8));
  const client = connect(sockets.localPort(listener), '127.0.0.1');
  test.teardown(() => client.destroy());
  client.on('error', () => undefined);
  const fd = await accepted(listener);
  test.teardown(() => descriptors.close(fd));
  test.equal(sockets.keepAlive(fd, 60), 0);
  test.equal(sockets.userTimeout(fd, 100_000), 0);
  client.pause();
  const bytes = Buffer.alloc(1 << 16);
  const fill = (): number => {
    for (;;) {
      const n = sockets.send(fd, bytes, 0, bytes.length);
      if (n < 0) return n;
    }
  };
  const until = performance.now() + 2500;
  while (performance.now() < until) {
    test.equal(fill(), -EAGAIN, 'it may pause');
    await sleep(250);
  }
  sockets.userTimeout(fd, 500);
  let n = -EAGAIN;
  for (const end = performance.now() + 120_000; n === -EAGAIN && performance.now() < end;) {
    await sleep(100);
    n = fill();
  }
  test.equal(n, -constants.errno.ETIMEDOUT);
  const [one, two] = sockets.pair();
  test.ok(sockets.keepAlive(one, 60) < 0, 'refused on other sockets');
  test.ok(sockets.userTimeout(one, 60) < 0);
  descriptors.close(one);
  descriptors.close(two);
  test.equal(sockets.keepAlive(NO_SUCH_FD, 60), -EBADF);
  test.throws(() => sockets.keepAlive(fd, -1), RangeError);
});

await t.test('Unix socket: listen, probe, accept, stale file', async (test) => {
  const path = join(socketFolder(test), 'socket-é');
  test.equal(sockets.probeUnix(path), -ENOENT);
  const listener = sockets.listenUnix(path, 4);
  test.ok(listener >= 0);
  test.equal(sockets.localPort(listener), -EAFNOSUPPORT);
  test.equal(sockets.accept(listener), -EAGAIN);
  test.equal(sockets.listenUnix(path, 4), -EADDRINUSE, 'the file is not unlinked');
  test.equal(sockets.probeUnix(path), 0);

  const probe = sockets.accept(listener);
  test.equal(sockets.recv(probe, Buffer.alloc(1), 0, 1), 0, 'the probe is a connection that ended');
  descriptors.close(probe);

  const client = connect(path);
  const fd = await accepted(listener);
  test.same(sockets.peerAddress(fd), {
    kind: 'unix',
    pid: process.pid,
    uid: process.getuid?.(),
  });
  client.destroy();
  descriptors.close(fd);

  descriptors.close(listener);
  test.equal(sockets.probeUnix(path), -ECONNREFUSED, 'the file is stale');
  unlinkSync(path);
  test.equal(sockets.probeUnix(path), -ENOENT);
});

await t.test('Unix socket: the length of the path is checked', async (test) => {
  const folder = socketFolder(test);
  const path = (length: number) => join(folder, 'x'.repeat(length - folder.length - 1));
  for (const length of [107, 106, 100, 95]) {
    listening(test, sockets.listenUnix(path(length), 1));
    test.equal(sockets.probeUnix(path(length)), 0);
  }
  const all = [95, 100, 106, 107].map(path).map((each) => basename(each));
  test.same(readdirSync(folder).toSorted(), all, 'no other file is made');
  for (const length of [108, 109, 5000]) {
    test.equal(sockets.listenUnix(path(length), 1), -ENAMETOOLONG);
    test.equal(sockets.probeUnix(path(length)), -ENAMETOOLONG);
  }
  const bytes = join(folder, 'é'.repeat(53));
  test.equal(sockets.listenUnix(bytes, 1), -ENAMETOOLONG, 'counted in bytes, not characters');
  test.equal(sockets.listenUnix('', 1), -EINVAL);
  test.throws(() => sockets.listenUnix('/tmp/a\0b', 1), RangeError);
  test.throws(() => sockets.probeUnix('\0abstract'), RangeError);
});

await t.test('Unix socket: mode and owner are set', async (test) => {
  const folder = socketFolder(test);
  const umask = process.umask(0o077);
  test.teardown(() => process.umask(umask));
  const [uid, gid] = [process.getuid?.(), process.getgid?.()];
  const modes = [0o666, 0o600, 0o777, 0, undefined];
  for (const [i, mode] of modes.entries()) {
    listening(test, sockets.listenUnix(`${folder}/${i}`, 1, mode, uid, gid));
    test.match(statSync(`${folder}/${i}`), { mode: 0o140000 | (mode ?? 0o700), uid, gid });
  }
  test.throws(() => sockets.listenUnix(`${folder}/x`, 1, 0o1000), RangeError);
  test.throws(
    () => sockets.listenUnix(`${folder}/x`, 1, 0, 0xffffffff),
    RangeError,
    '4294967295 would mean no user',
  );
  test.throws(() => sockets.listenUnix(`${folder}/x`, 1, 0, 0, -1), RangeError);
});

await t.test('the user of a peer', async (test) => {
  const [a, b] = sockets.pair();
  test.equal(sockets.peerUid(a), process.getuid?.());
  test.equal(sockets.peerPid(a), process.pid);
  descriptors.close(a);
  descriptors.close(b);
  const tcp = listening(test, sockets.listenTcp('127.0.0.1', 0, 1));
  test.equal(sockets.peerUid(tcp), -EAFNOSUPPORT, 'an unknown user is not user 0');
  test.equal(sockets.peerPid(tcp), -EAFNOSUPPORT);
  const unix = listening(test, sockets.listenUnix(join(socketFolder(test), 's'), 1));
  test.equal(sockets.peerPid(unix), process.pid, 'the process that called listen');
});

await t.test('the address of a socket as text', async (test) => {
  const folder = socketFolder(test);
  test.equal(sockets.localName(await boundSocket(test, `${folder}/é`)), `unix://${folder}/é`);
  const longest = `${folder}/${'x'.repeat(107 - folder.length - 1)}`;
  test.equal(sockets.localName(await boundSocket(test, longest)), `unix://${longest}`);
  const ours = sockets.localName(listening(test, sockets.listenUnix(`${folder}/ours`, 1)));
  test.match(
    ours,
    new RegExp(`^unix://${folder}/ours\\.${process.pid}\\.\\d+$`),
    'the path with which it was made',
  );
  const tcp = listening(test, sockets.listenTcp('127.0.0.1', 0, 1));
  test.equal(sockets.localName(tcp), `tcp://127.0.0.1:${sockets.localPort(tcp)}`);
  const [a, b] = sockets.pair();
  test.equal(sockets.localName(a), 'unix://');
  descriptors.close(a);
  descriptors.close(b);
  test.equal(sockets.localName(NO_SUCH_FD), 'unknown');
});

await t.test('vsock sockets listen and have an address', async (test) => {
  const fd = sockets.listenVsock(VSOCK_CID_ANY, 0, 1);
  test.throws(() => sockets.listenVsock(2 ** 32, 1, 1), RangeError);
  test.throws(() => sockets.listenVsock(1, 2 ** 32 - 1, 1), RangeError);
  if (fd === -EAFNOSUPPORT) {
    test.pass('vsock', { skip: 'NOT TESTED, no vsock on this machine' });
    return;
  }
  listening(test, fd);
  const port = sockets.localPort(fd);
  test.ok(port > 0 && port < VSOCK_CID_ANY, 'a port was chosen');
  test.equal(sockets.localName(fd), `vsock://:${port}`);
  test.equal(sockets.accept(fd), -EAGAIN);
  test.equal(sockets.adoptListener(fd), 0);
  test.equal(sockets.peerUid(fd), -EAFNOSUPPORT);
  test.equal(sockets.listenVsock(VSOCK_CID_ANY, port, 1), -EADDRINUSE);
});

await t.test('listening sockets are adopted, other descriptors are refused', async (test) => {
  const folder = socketFolder(test);
  const unix = listening(test, sockets.listenUnix(`${folder}/s`, 1));
  test.equal(sockets.adoptListener(unix), 0);
  test.equal(sockets.adoptListener(unix), 0, 'also twice');
  test.equal(sockets.adoptListener(listening(test, sockets.listenTcp('127.0.0.1', 0, 1))), 0);
  const [a, b] = sockets.pair();
  test.equal(sockets.adoptListener(a), -EINVAL, 'connected');
  descriptors.close(a);
  descriptors.close(b);
  const file = openSync('/dev/null', 'r');
  test.equal(sockets.adoptListener(file), -ENOTSOCK);
  closeSync(file);
  const datagrams = createSocket('udp4');
  datagrams.bind(0, '127.0.0.1');
  await once(datagrams, 'listening');
  // There is no public way to its descriptor.
  const state = Object.getOwnPropertySymbols(datagrams).find(
    ({ description }) => description === 'state symbol',
  );
  const { handle } = Reflect.get(datagrams, state ?? '') as { handle: { fd: number } };
  const { fd } = handle;
  test.equal(sockets.adoptListener(fd), -EPROTOTYPE);
  datagrams.close();
  test.equal(sockets.adoptListener(NO_SUCH_FD), -EBADF);
});

await t.test('takeStandard leaves /dev/null instead of a descriptor', async (test) => {
  const [a, b] = sockets.pair();
  const taken = descriptors.takeStandard(a);
  test.ok(taken > 2 && taken !== a);
  test.equal(readlinkSync(`/proc/self/fd/${a}`), '/dev/null');
  test.equal(sockets.send(taken, Buffer.from('x'), 0, 1), 1);
  test.equal(sockets.recv(b, Buffer.alloc(1), 0, 1), 1);
  descriptors.close(taken);
  test.equal(sockets.recv(b, Buffer.alloc(1), 0, 1), 0, 'no copy is left');
  descriptors.close(a);
  descriptors.close(b);
  test.equal(descriptors.takeStandard(NO_SUCH_FD), -EBADF);
});

await t.test('recv and send move bytes, and never block', async (test) => {
  const [a, b] = sockets.pair();
  const buffer = Buffer.alloc(8, '.');
  test.equal(sockets.recv(b, buffer, 0, 8), -EAGAIN);
  test.equal(sockets.send(a, Buffer.from('abcdef'), 1, 3), 3);
  test.equal(sockets.recv(b, buffer, 2, 6), 3);
  test.equal(buffer.toString(), '..bcd...');
  test.throws(
    () => sockets.recv(b, buffer, 8, 0),
    RangeError,
    'an empty receive would look like the end',
  );
  test.equal(sockets.send(a, buffer, 8, 0), 0);

  const shared = new Uint8Array(new SharedArrayBuffer(16), 4, 8);
  test.equal(sockets.send(a, Buffer.from('xyz'), 0, 3), 3);
  test.equal(sockets.recv(b, shared, 5, 3), 3);
  test.same([...shared], [0, 0, 0, 0, 0, 120, 121, 122]);
  test.equal(sockets.send(b, shared, 5, 3), 3);
  test.equal(sockets.recv(a, buffer, 0, 8), 3);
  test.equal(buffer.toString('latin1', 0, 3), 'xyz');

  const big = Buffer.alloc(1 << 20);
  let sent = 0;
  let n = 0;
  while ((n = sockets.send(a, big, 0, big.length)) > 0) sent += n;
  test.equal(n, -EAGAIN, 'a full socket does not block');
  test.ok(sent > 0);

  test.equal(descriptors.close(b), 0);
  test.equal(sockets.send(a, big, 0, 1), -EPIPE, 'EPIPE without SIGPIPE');
  test.equal(descriptors.close(a), 0);
});

await t.test('shutdown in one direction and in both', async (test) => {
  const [a, b] = sockets.pair();
  const buffer = Buffer.alloc(4);
  test.equal(sockets.send(a, Buffer.from('last'), 0, 4), 4);
  test.equal(sockets.shutdown(a), 0);
  test.equal(sockets.send(a, buffer, 0, 1), -EPIPE);
  test.equal(sockets.recv(b, buffer, 0, 4), 4, 'the bytes sent before arrive');
  test.equal(sockets.recv(b, buffer, 0, 4), 0, 'then the end');
  test.equal(sockets.send(b, buffer, 0, 4), 4, 'the other direction stays open');
  test.equal(sockets.shutdown(b, SHUT_RDWR), 0);
  test.equal(sockets.shutdown(a, SHUT_RD), 0);
  test.throws(() => sockets.shutdown(a, 3), RangeError);
  descriptors.close(a);
  descriptors.close(b);
});

await t.test('a descriptor that is not open is refused', async (test) => {
  const buffer = Buffer.alloc(4);
  test.equal(sockets.accept(NO_SUCH_FD), -EBADF);
  test.equal(sockets.localPort(NO_SUCH_FD), -EBADF);
  test.equal(sockets.peerAddress(NO_SUCH_FD), null);
  test.equal(sockets.recv(NO_SUCH_FD, buffer, 0, 4), -EBADF);
  test.equal(sockets.send(NO_SUCH_FD, buffer, 0, 4), -EBADF);
  test.equal(sockets.shutdown(NO_SUCH_FD), -EBADF);
  test.equal(descriptors.close(NO_SUCH_FD), -EBADF);
});
