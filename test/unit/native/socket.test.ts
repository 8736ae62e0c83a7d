// The socket half of the addon: listeners, accept, names, recv and send. Not Poll.
import { mkdtempSync, rmSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  EPIPE,
  native,
  SHUT_RD,
  SHUT_RDWR,
} from '../../../daemon/native/binding.js';

const NO_SUCH_FD = 1_000_000;

/** Listens, and closes at the end of the test. */
function listening(test: Test, fd: number): number {
  test.ok(fd >= 0, 'is listening');
  test.teardown(() => native.close(fd));
  return fd;
}

/** A connection may not be in the backlog yet when connect has returned. */
async function accepted(listener: number): Promise<number> {
  for (;;) {
    const fd = native.accept(listener);
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
  await t.test(`TCP at ${host}`, async (test) => {
    const listener = native.listenTcp(host, 0, 8);
    if (host === '::1' && listener < 0) {
      test.equal(host, '::1');
      test.comment(`SKIPPED: no IPv6 on this machine (${listener})`);
      return;
    }
    listening(test, listener);
    const port = native.localPort(listener);
    test.ok(port > 0 && port <= 65535, 'has a port');
    test.equal(native.accept(listener), -EAGAIN, 'nobody yet');
    test.equal(native.listenTcp(host, port, 8), -EADDRINUSE);

    const client = connect(port, host);
    const fd = await accepted(listener);
    test.ok(fd >= 0, 'accepts');
    test.equal(native.localPort(fd), port);
    if (!client.localPort) await once(client, 'connect');
    test.equal(native.peerName(fd), `${shown}:${client.localPort}`);

    const buffer = Buffer.alloc(16);
    test.equal(native.recv(fd, buffer, 0, 16), -EAGAIN);
    const ended = once(client, 'end');
    client.once('data', (data) => test.same(data, Buffer.from('pong')));
    test.equal(native.send(fd, Buffer.from('-pong-'), 1, 4), 4);
    test.equal(native.shutdown(fd), 0);
    await ended;
    client.destroy();
    test.equal(native.close(fd), 0);
  });
}

await t.test('an IPv6 listener leaves the IPv4 port free', async (test) => {
  const six = native.listenTcp('::', 0, 1);
  if (six < 0) {
    test.ok([-EAFNOSUPPORT, -EADDRINUSE].includes(six), 'no IPv6 on this machine');
    return;
  }
  listening(test, six);
  listening(test, native.listenTcp('0.0.0.0', native.localPort(six), 1));
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
    test.equal(native.listenTcp(host, 0, 1), -EINVAL, host.slice(0, 20));
  }
});

await t.test('Unix socket: listen, probe, accept, stale file', async (test) => {
  const path = join(socketFolder(test), 'socket-é');
  test.equal(native.probeUnix(path), -ENOENT);
  const listener = native.listenUnix(path, 4);
  test.ok(listener >= 0);
  test.equal(native.localPort(listener), -EAFNOSUPPORT);
  test.equal(native.accept(listener), -EAGAIN);
  test.equal(native.listenUnix(path, 4), -EADDRINUSE, 'does not unlink');
  test.equal(native.probeUnix(path), 0);

  const probe = native.accept(listener);
  test.equal(native.recv(probe, Buffer.alloc(1), 0, 1), 0, 'the probe is a connection that ended');
  native.close(probe);

  const client = connect(path);
  const fd = await accepted(listener);
  test.equal(native.peerName(fd), `pid ${process.pid} uid ${process.getuid?.()}`);
  client.destroy();
  native.close(fd);

  native.close(listener);
  test.equal(native.probeUnix(path), -ECONNREFUSED, 'stale');
  unlinkSync(path);
  test.equal(native.probeUnix(path), -ENOENT);
});

await t.test('Unix socket: length of the path', async (test) => {
  const folder = socketFolder(test);
  const path = (length: number) => join(folder, 'x'.repeat(length - folder.length - 1));
  listening(test, native.listenUnix(path(107), 1));
  test.equal(native.probeUnix(path(107)), 0);
  for (const length of [108, 109, 5000]) {
    test.equal(native.listenUnix(path(length), 1), -ENAMETOOLONG);
    test.equal(native.probeUnix(path(length)), -ENAMETOOLONG);
  }
  const bytes = join(folder, 'é'.repeat(53));
  test.equal(native.listenUnix(bytes, 1), -ENAMETOOLONG, 'counted in bytes, not characters');
  test.equal(native.listenUnix('', 1), -EINVAL);
  test.throws(() => native.listenUnix('/tmp/a\0b', 1), RangeError);
  test.throws(() => native.probeUnix('\0abstract'), RangeError);
});

await t.test('recv and send', async (test) => {
  const [a, b] = native.socketpair();
  const buffer = Buffer.alloc(8, '.');
  test.equal(native.recv(b, buffer, 0, 8), -EAGAIN);
  test.equal(native.send(a, Buffer.from('abcdef'), 1, 3), 3);
  test.equal(native.recv(b, buffer, 2, 6), 3);
  test.equal(buffer.toString(), '..bcd...');
  test.throws(
    () => native.recv(b, buffer, 8, 0),
    RangeError,
    'into no space would look like the end',
  );
  test.equal(native.send(a, buffer, 8, 0), 0);

  const shared = new Uint8Array(new SharedArrayBuffer(16), 4, 8);
  test.equal(native.send(a, Buffer.from('xyz'), 0, 3), 3);
  test.equal(native.recv(b, shared, 5, 3), 3);
  test.same([...shared], [0, 0, 0, 0, 0, 120, 121, 122]);
  test.equal(native.send(b, shared, 5, 3), 3);
  test.equal(native.recv(a, buffer, 0, 8), 3);
  test.equal(buffer.toString('latin1', 0, 3), 'xyz');

  const big = Buffer.alloc(1 << 20);
  let sent = 0;
  let n = 0;
  while ((n = native.send(a, big, 0, big.length)) > 0) sent += n;
  test.equal(n, -EAGAIN, 'a full socket does not block');
  test.ok(sent > 0);

  test.equal(native.close(b), 0);
  test.equal(native.send(a, big, 0, 1), -EPIPE, 'and no SIGPIPE');
  test.equal(native.close(a), 0);
});

await t.test('shutdown, one way or both', async (test) => {
  const [a, b] = native.socketpair();
  const buffer = Buffer.alloc(4);
  test.equal(native.send(a, Buffer.from('last'), 0, 4), 4);
  test.equal(native.shutdown(a), 0);
  test.equal(native.send(a, buffer, 0, 1), -EPIPE);
  test.equal(native.recv(b, buffer, 0, 4), 4, 'what was sent arrives');
  test.equal(native.recv(b, buffer, 0, 4), 0, 'then the end');
  test.equal(native.send(b, buffer, 0, 4), 4, 'the other direction stays open');
  test.equal(native.shutdown(b, SHUT_RDWR), 0);
  test.equal(native.shutdown(a, SHUT_RD), 0);
  test.throws(() => native.shutdown(a, 3), RangeError);
  native.close(a);
  native.close(b);
});

await t.test('a descriptor that is not open', async (test) => {
  const buffer = Buffer.alloc(4);
  test.equal(native.accept(NO_SUCH_FD), -EBADF);
  test.equal(native.localPort(NO_SUCH_FD), -EBADF);
  test.equal(native.peerName(NO_SUCH_FD), 'unknown');
  test.equal(native.recv(NO_SUCH_FD, buffer, 0, 4), -EBADF);
  test.equal(native.send(NO_SUCH_FD, buffer, 0, 4), -EBADF);
  test.equal(native.shutdown(NO_SUCH_FD), -EBADF);
  test.equal(native.close(NO_SUCH_FD), -EBADF);
});
