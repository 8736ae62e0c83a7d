import { connect } from 'node:net';
import { test, type Test } from 'tap';
import { Listener } from '../../../daemon/listen/listener.js';
import { openListening, type ListeningSocket } from '../../../daemon/listen/listening-socket.js';
import { listenerSpec } from '../../../daemon/config/listener.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import type { Peer } from '../../../daemon/reactor/peer.js';
import { until } from '../../support/until.js';

async function open(): Promise<ListeningSocket> {
  const [socket] = await openListening(listenerSpec('tcp://127.0.0.1:0'));
  if (!socket) throw new Error('nothing listens');
  return socket;
}

function client(t: Test, { fd }: ListeningSocket): void {
  const socket = connect(sockets.localPort(fd), '127.0.0.1');
  socket.on('error', () => undefined);
  t.teardown(() => socket.destroy());
}

await test('each connection is accepted once, with its peer', async (t) => {
  const socket = await open();
  const peers: Peer[] = [];
  const listener = new Listener(
    socket,
    'title',
    (fd, peer) => {
      peers.push(peer);
      descriptors.close(fd);
    },
    (why) => t.fail(why),
  );
  t.teardown(() => listener.close());
  t.equal(listener.title, 'title');
  // More than one turn accepts.
  for (let i = 0; i < 200; i++) client(t, socket);
  await until(() => peers.length === 200);
  t.equal(new Set(peers.map(({ text }) => text)).size, 200);
});

await test('after a failed accept the listener waits before it tries again', async (t) => {
  const [notListening, other] = sockets.pair();
  t.teardown(() => descriptors.close(other));
  const errors: string[] = [];
  const socket = { fd: notListening, uri: '', file: null };
  const listener = new Listener(
    socket,
    '',
    () => t.fail('accepted'),
    (why) => errors.push(why),
  );
  sockets.send(other, Buffer.from('x'), 0, 1);
  await until(() => errors.length === 2);
  t.match(errors[0], /^accepting failed: EINVAL/);
  listener.close();
  const { length } = errors;
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.equal(errors.length, length, 'no try after it was closed');
  listener.close();
});
