// The kernel's nbd interface as far as it answers without a device. With devices: test/kernel.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  EINVAL,
  ENAMETOOLONG,
  ENODEV,
  ENOENT,
  ENOTTY,
  EPERM,
  NBD_BACKEND_MAX,
  native,
} from '../../../daemon/native/binding.js';

// More than any kernel has devices.
const NO_SUCH_INDEX = 2 ** 30;
const none = new Int32Array(0);
const notCalled = (): never => {
  throw new Error('called');
};

await t.test('netlink', async (test) => {
  const family = native.nbdFamily();
  test.ok(family >= 16 || family === -ENOENT, `family ${family}`);
  const results =
    family === -ENOENT
      ? { connect: [-ENOENT], others: [-ENOENT], connected: [-ENOENT] }
      : { connect: [-EINVAL, -EPERM], others: [-EINVAL, -EPERM], connected: [-ENODEV] };
  const connect = native.nbdConnect(NO_SUCH_INDEX, 4096, 512, 1, 1, 1, 0, 'b', none);
  test.ok(results.connect.includes(connect), `connect ${connect}`);
  const reconfigure = native.nbdReconfigure(NO_SUCH_INDEX, 1, 1, 0, 'b', none);
  test.ok(results.others.includes(reconfigure), `reconfigure ${reconfigure}`);
  const disconnect = native.nbdDisconnect(NO_SUCH_INDEX);
  test.ok(results.others.includes(disconnect), `disconnect ${disconnect}`);
  const connected = native.nbdConnected(NO_SUCH_INDEX);
  test.ok(results.connected.includes(connected), `connected ${connected}`);
});

await t.test('backend identifiers', async (test) => {
  const connect = (backend: string): number =>
    native.nbdConnect(NO_SUCH_INDEX, 4096, 512, 1, 1, 1, 0, backend, none);
  test.equal(connect('x'.repeat(NBD_BACKEND_MAX + 1)), -ENAMETOOLONG);
  test.equal(connect('ü'.repeat(128)), -ENAMETOOLONG, 'bytes count');
  test.not(connect('x'.repeat(NBD_BACKEND_MAX)), -ENAMETOOLONG);
  test.throws(() => connect('a\0b'), RangeError);
  test.equal(
    native.nbdReconfigure(NO_SUCH_INDEX, 1, 1, 0, 'x'.repeat(NBD_BACKEND_MAX + 1), none),
    -ENAMETOOLONG,
  );
});

await t.test('ioctl: only on nbd devices', async (test) => {
  const [a, b] = native.socketpair();
  const sockets = Int32Array.of(a);
  const connect = (path: string, given = sockets): number =>
    native.nbdIoctlConnect(path, 4096, 512, 10, 1, given, notCalled);
  const folder = mkdtempSync(join(tmpdir(), 'obd-'));
  test.teardown(() => rmSync(folder, { recursive: true }));
  for (const path of ['/dev/null', folder, '/proc/self/exe']) {
    test.equal(connect(path), -ENOTTY, path);
    test.equal(native.nbdIoctlDisconnect(path), -ENOTTY, path);
  }
  for (const path of ['', '/nonexistent/nbd0']) {
    test.equal(connect(path), -ENOENT, path);
    test.equal(native.nbdIoctlDisconnect(path), -ENOENT, path);
  }
  test.equal(connect('/'.repeat(4096)), -ENAMETOOLONG);
  test.equal(native.nbdIoctlDisconnect('/'.repeat(4096)), -ENAMETOOLONG);
  test.equal(connect('/dev/null', none), -EINVAL, 'without a connection');
  test.equal(native.peerClosed(b), 0, 'the socket is the caller’s');
  native.close(a);
  test.equal(native.peerClosed(b), 1, 'and no copy is left');
  native.close(b);
});
