import { readFileSync } from 'node:fs';
import { test, type Test } from 'tap';
import { EAGAIN } from '../../../daemon/lib/errno.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { POLL_READABLE, POLL_WRITABLE } from '../../../daemon/native/poll.js';
import { sockets } from '../../../daemon/native/socket.js';
import { PlainTransport } from '../../../daemon/reactor/plain-transport.js';
import { until } from '../../support/until.js';

function world(t: Test) {
  const [ours, fd] = sockets.pair();
  t.teardown(() => descriptors.close(fd));
  const events: number[] = [];
  const transport = new PlainTransport(ours, (each) => events.push(each));
  return { transport, fd, events };
}

/** Sends until the socket is full. @returns the bytes that it took */
function fill(send: () => number): number {
  let total = 0;
  for (;;) {
    const n = send();
    if (n < 0) return total;
    total += n;
  }
}

await test('only watched events are reported', async (t) => {
  const { transport, fd, events } = world(t);
  sockets.send(fd, Buffer.from('a'), 0, 1);
  transport.watch(POLL_WRITABLE);
  await until(() => events.length > 2);
  t.same(new Set(events), new Set([POLL_WRITABLE]));
  transport.watch(POLL_READABLE);
  events.splice(0);
  await until(() => events.length > 2);
  t.same(new Set(events), new Set([POLL_READABLE]));
  transport.watch(0);
  events.splice(0);
  sockets.send(fd, Buffer.from('b'), 0, 1);
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  t.same(events, []);
  t.equal(transport.recv(Buffer.alloc(9), 0, 9), 2, 'the bytes are still there');
  transport.close(() => undefined);
});

await test('the end of the input and of the output are reported', (t) => {
  const { transport, fd } = world(t);
  const bytes = Buffer.alloc(9);
  t.equal(transport.recv(bytes, 0, 9), -EAGAIN);
  sockets.send(fd, Buffer.from('last'), 0, 4);
  transport.endInput();
  t.equal(transport.recv(bytes, 0, 9), 4);
  t.equal(transport.recv(bytes, 0, 9), 0);
  t.equal(transport.send(Buffer.from('reply'), 0, 5), 5);
  transport.shutdown();
  t.equal(sockets.recv(fd, bytes, 0, 9), 5);
  t.equal(sockets.recv(fd, bytes, 0, 9), 0);
  let isClosed = false;
  transport.close(() => (isClosed = true));
  t.ok(isClosed);
  t.end();
});

await test('a released socket can be used elsewhere', (t) => {
  const { transport, fd } = world(t);
  const next = transport.release();
  t.equal(sockets.send(next, Buffer.from('x'), 0, 1), 1);
  t.equal(sockets.recv(fd, Buffer.alloc(9), 0, 9), 1);
  descriptors.close(next);
  t.end();
});

const netCoreNumber = (name: string): number =>
  Number(readFileSync(`/proc/sys/net/core/${name}`, 'utf8'));
const usualBytes = netCoreNumber('wmem_default');
const isUsual = usualBytes === 212_992 && netCoreNumber('wmem_max') >= usualBytes;
const skip = isUsual ? false : 'the buffers of sockets are not the usual ones on this machine';

await test(
  'a Unix socket takes more than the usual 208 KiB before its peer receives',
  { skip },
  (t) => {
    const { transport, fd } = world(t);
    const piece = Buffer.alloc(16_384);
    const taken = fill(() => transport.send(piece, 0, piece.length));
    const usual = fill(() => sockets.send(fd, piece, 0, piece.length));
    t.ok(taken >= usual * 1.5, `${taken} bytes, and ${usual} on the way back`);
    transport.close(() => undefined);
    t.end();
  },
);

await test('the larger buffer of a Unix socket is not made smaller', (t) => {
  const [large, fd] = sockets.pair();
  sockets.raiseSendBuffer(large, 4 << 20);
  sockets.raiseSendBuffer(fd, 4 << 20);
  const transport = new PlainTransport(large, () => undefined);
  const piece = Buffer.alloc(16_384);
  const taken = fill(() => transport.send(piece, 0, piece.length));
  t.equal(
    taken,
    fill(() => sockets.send(fd, piece, 0, piece.length)),
  );
  transport.close(() => undefined);
  descriptors.close(fd);
  t.end();
});
