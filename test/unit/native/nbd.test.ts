// The kernel's nbd interface as far as it answers without a device. With devices: test/kernel.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { EINVAL, ENAMETOOLONG, ENOENT, ENOTTY, EPERM } from '../../../daemon/lib/errno.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { ioctl } from '../../../daemon/native/nbd-ioctl.js';
import { NBD_BACKEND_MAX, netlink } from '../../../daemon/native/nbd-netlink.js';
import { sockets } from '../../../daemon/native/socket.js';

// More than any kernel has devices.
const NO_SUCH_INDEX = 2 ** 30;
const none = new Int32Array(0);
const SETTINGS = {
  sizeBytes: 4096,
  blockSizeBytes: 512,
  timeoutSeconds: 1,
  deadConnTimeoutSeconds: 1,
  serverFlags: 1,
  clientFlags: 0,
};
const notCalled = (): never => {
  throw new Error('called');
};

await t.test('netlink requests for a device that does not exist', async (test) => {
  const family = netlink.family();
  test.ok(family >= 16 || family === -ENOENT, `family ${family}`);
  const results =
    family === -ENOENT
      ? { connect: [-ENOENT], others: [-ENOENT] }
      : { connect: [-EINVAL, -EPERM], others: [-EINVAL, -EPERM] };
  const connect = netlink.connect({ ...SETTINGS, index: NO_SUCH_INDEX, backend: 'b' }, none);
  test.ok(results.connect.includes(connect), `connect ${connect}`);
  const reconfigure = netlink.reconfigure(NO_SUCH_INDEX, { clientFlags: 0, backend: 'b' }, none);
  test.ok(results.others.includes(reconfigure), `reconfigure ${reconfigure}`);
  const disconnect = netlink.disconnect(NO_SUCH_INDEX);
  test.ok(results.others.includes(disconnect), `disconnect ${disconnect}`);
});

await t.test('backend identifiers have a maximum length in bytes', async (test) => {
  const connect = (backend: string): number =>
    netlink.connect({ ...SETTINGS, index: NO_SUCH_INDEX, backend }, none);
  test.equal(connect('x'.repeat(NBD_BACKEND_MAX + 1)), -ENAMETOOLONG);
  test.equal(connect('ü'.repeat(128)), -ENAMETOOLONG, 'bytes count, not characters');
  test.not(connect('x'.repeat(NBD_BACKEND_MAX)), -ENAMETOOLONG);
  test.throws(() => connect('a\0b'), RangeError);
  test.equal(
    netlink.reconfigure(NO_SUCH_INDEX, { backend: 'x'.repeat(NBD_BACKEND_MAX + 1) }, none),
    -ENAMETOOLONG,
  );
});

await t.test('ioctl requests work on nbd devices only', async (test) => {
  const [a, b] = sockets.pair();
  const connect = (path: string, given = Int32Array.of(a)): number =>
    ioctl.connect({ ...SETTINGS, path, timeoutSeconds: 10 }, given, notCalled);
  const folder = mkdtempSync(join(tmpdir(), 'obd-'));
  test.teardown(() => rmSync(folder, { recursive: true }));
  for (const path of ['/dev/null', folder, '/proc/self/exe']) {
    test.equal(connect(path), -ENOTTY, path);
    test.equal(ioctl.disconnect(path), -ENOTTY, path);
  }
  for (const path of ['', '/proc/nonexistent/nbd0']) {
    test.equal(connect(path), -ENOENT, path);
    test.equal(ioctl.disconnect(path), -ENOENT, path);
  }
  test.equal(connect('/'.repeat(4096)), -ENAMETOOLONG);
  test.equal(ioctl.disconnect('/'.repeat(4096)), -ENAMETOOLONG);
  test.equal(connect('/dev/null', none), -EINVAL, 'without a connection');
  test.equal(sockets.peerClosed(b), 0, 'the caller keeps its socket');
  descriptors.close(a);
  test.equal(sockets.peerClosed(b), 1, 'no copy is left open');
  descriptors.close(b);
});
