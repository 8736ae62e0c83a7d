// Descriptors over Unix sockets, connecting to them, and detecting that a peer is gone.
import {
  closeSync,
  mkdtempSync,
  openSync,
  readSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  EAGAIN,
  EBADF,
  ECONNREFUSED,
  EINVAL,
  EMSGSIZE,
  ENAMETOOLONG,
  ENOENT,
  ENOTSOCK,
  EPIPE,
} from '../../../daemon/lib/errno.js';
import { MAX_DESCRIPTORS, descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import { fallsTo, openDescriptors, settled } from '../../support/descriptors.js';

const NO_SUCH_FD = 1_000_000;
const buffer = Buffer.alloc(256);

function pair(test: Test): [number, number] {
  const ends = sockets.pair();
  test.teardown(() => ends.forEach((fd) => descriptors.close(fd)));
  return ends;
}

/** The close-on-exec flag, from the kernel's view of the descriptor. */
function isInherited(fd: number): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
  return (Number.parseInt(flags ?? '', 8) & 0o2000000) === 0;
}

await t.test('a descriptor arrives with its bytes', async (test) => {
  const [a, b] = pair(test);
  const path = join(test.testdir(), 'file');
  writeFileSync(path, 'content');
  const file = openSync(path, 'r');
  const received = new Int32Array(4);
  test.equal(descriptors.recv(b, buffer, 0, 10, received), -EAGAIN);
  test.equal(descriptors.send(a, Buffer.from('xhello'), 1, 5, Int32Array.of(file, a)), 5);
  closeSync(file);
  test.equal(descriptors.recv(b, buffer, 3, 100, received), 5);
  test.equal(buffer.toString('latin1', 3, 8), 'hello');
  const [first = -1, second = -1, ...rest] = received;
  test.same(rest, [-1, -1]);
  test.notOk(isInherited(first));
  test.notOk(isInherited(second));
  test.equal(readSync(first, buffer, 0, 100, 0), 7, 'another descriptor of the same file');
  test.equal(buffer.toString('latin1', 0, 7), 'content');
  test.equal(
    sockets.send(second, Buffer.from('!'), 0, 1),
    1,
    'another descriptor of the same socket',
  );
  test.equal(sockets.recv(b, buffer, 0, 10), 1);
  for (const fd of [first, second]) test.equal(descriptors.close(fd), 0);
});

await t.test('a receive ends after the bytes that came with descriptors', async (test) => {
  const [a, b] = pair(test);
  const received = new Int32Array(2);
  const send = (text: string, passed: number[]): void => {
    const sent = descriptors.send(a, Buffer.from(text), 0, text.length, Int32Array.from(passed));
    test.equal(sent, text.length);
  };
  const receives = (length: number, text: string, count: number): void => {
    test.equal(descriptors.recv(b, buffer, 0, length, received), text.length);
    test.equal(buffer.toString('latin1', 0, text.length), text);
    const came = received.filter((fd) => fd !== -1);
    test.equal(came.length, count, text);
    for (const fd of came) test.equal(descriptors.close(fd), 0);
  };
  send('one', [a]);
  send('two', [a, b]);
  send('bare', []);
  receives(1, 'o', 1);
  receives(100, 'netwo', 2);
  receives(100, 'bare', 0);
});

await t.test('the most descriptors, and more than the receiver has room for', async (test) => {
  const [a, b] = pair(test);
  const before = await settled(openDescriptors);
  const many = new Int32Array(MAX_DESCRIPTORS).fill(a);
  const received = new Int32Array(MAX_DESCRIPTORS);
  test.equal(descriptors.send(a, buffer, 0, 1, many), 1);
  test.equal(descriptors.recv(b, buffer, 0, 1, received), 1);
  test.equal(new Set(received).size, MAX_DESCRIPTORS);
  test.equal(openDescriptors(), before + MAX_DESCRIPTORS);
  for (const fd of received) descriptors.close(fd);
  for (const room of [0, 1, MAX_DESCRIPTORS - 1]) {
    const small = new Int32Array(room);
    test.equal(descriptors.send(a, buffer, 0, 1, many), 1);
    test.equal(descriptors.recv(b, buffer, 0, 1, small), -EMSGSIZE, `room for ${room}`);
    test.ok(small.every((fd) => fd === -1));
    test.ok(await fallsTo(before), 'no descriptor stays open');
  }
  const negative = Int32Array.of(a, -1);
  test.throws(() => descriptors.send(a, buffer, 0, 1, negative), RangeError);
  test.throws(
    () => descriptors.send(a, buffer, 0, 0, many),
    RangeError,
    'at least one byte is needed',
  );
});

await t.test('sends that fail, and the end of the stream', async (test) => {
  const [a, b] = sockets.pair();
  test.equal(descriptors.send(a, buffer, 0, 1, Int32Array.of(NO_SUCH_FD)), -EBADF);
  test.equal(descriptors.send(NO_SUCH_FD, buffer, 0, 1, Int32Array.of(a)), -EBADF);
  test.equal(descriptors.recv(NO_SUCH_FD, buffer, 0, 1, Int32Array.of(0)), -EBADF);
  const file = openSync(join(test.testdir(), 'file'), 'w+');
  test.equal(descriptors.send(file, buffer, 0, 1, Int32Array.of(a)), -ENOTSOCK);
  closeSync(file);
  descriptors.close(b);
  test.equal(descriptors.send(a, buffer, 0, 1, Int32Array.of(a)), -EPIPE, 'EPIPE without SIGPIPE');
  test.equal(descriptors.recv(a, buffer, 0, 1, new Int32Array(1)), 0, 'the end');
  descriptors.close(a);
});

await t.test('peerClosed tells whether the peer has closed', async (test) => {
  const [a, b] = sockets.pair();
  test.equal(sockets.peerClosed(a), 0);
  test.equal(sockets.send(b, buffer, 0, 5), 5);
  test.equal(sockets.peerClosed(a), 0);
  descriptors.close(b);
  test.equal(sockets.peerClosed(a), 1, 'although there are unread bytes');
  test.equal(sockets.recv(a, buffer, 0, 10), 5);
  descriptors.close(a);
  const [c, d] = pair(test);
  sockets.shutdown(d);
  test.equal(sockets.peerClosed(c), 1);
  test.equal(sockets.peerClosed(NO_SUCH_FD), -EBADF);
});

await t.test('connectUnix makes a nonblocking connection', async (test) => {
  const folder = mkdtempSync(join(tmpdir(), 'obd-'));
  test.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'socket');
  test.equal(sockets.connectUnix(path), -ENOENT);
  const listener = sockets.listenUnix(path, 0);
  const fd = sockets.connectUnix(path);
  test.ok(fd >= 0);
  test.notOk(isInherited(fd));
  test.equal(sockets.recv(fd, buffer, 0, 1), -EAGAIN, 'nonblocking');
  test.equal(sockets.connectUnix(path), -EAGAIN, 'the backlog is full');
  const accepted = sockets.accept(listener);
  test.equal(sockets.send(accepted, Buffer.from('hi'), 0, 2), 2);
  test.equal(sockets.recv(fd, buffer, 0, 10), 2);
  for (const each of [accepted, fd, listener]) descriptors.close(each);
  test.equal(sockets.connectUnix(path), -ECONNREFUSED);
  test.equal(sockets.connectUnix(''), -EINVAL);
  test.equal(sockets.connectUnix('@'), -EINVAL);
  test.equal(sockets.connectUnix('x'.repeat(108)), -ENAMETOOLONG);
  test.equal(sockets.connectUnix(`@${'x'.repeat(107)}`), -ENAMETOOLONG);
});

await t.test('connectUnix: an abstract address without a listener', async (test) => {
  test.equal(sockets.connectUnix(`@overlaybd-nbd-test-${process.pid}`), -ECONNREFUSED);
});
