import { connect } from 'node:net';
import { test } from 'tap';
import { peerAt, peerOf } from '../../../daemon/listen/peer.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets, type PeerAddress } from '../../../daemon/native/socket.js';

await test('a peer of each kind, its group and its text', (t) => {
  const cases: [PeerAddress | null, object][] = [
    [
      { kind: 'tcp', host: '127.0.0.1', port: 41234 },
      { kind: 'tcp', group: '127.0.0.1', uid: null, text: '127.0.0.1:41234' },
    ],
    [
      { kind: 'tcp', host: '[fe80::1%eth0]', port: 1 },
      { kind: 'tcp', group: '[fe80::1%eth0]', uid: null, text: '[fe80::1%eth0]:1' },
    ],
    [
      { kind: 'unix', pid: 123, uid: 0 },
      { kind: 'unix', group: 'uid 0', uid: 0, text: 'pid 123 uid 0' },
    ],
    [
      { kind: 'unix', pid: 0, uid: 1000 },
      { kind: 'unix', group: 'uid 1000', uid: 1000, text: 'pid 0 uid 1000' },
    ],
    [
      { kind: 'vsock', cid: 3, port: 1234 },
      { kind: 'vsock', group: 'cid 3', uid: null, text: 'vsock cid 3 port 1234' },
    ],
    [null, { kind: 'unknown', group: 'unknown', uid: null, text: 'unknown' }],
  ];
  for (const [address, peer] of cases) t.same(peerAt(address), { ...peer, device: null });
  t.end();
});

await test('the peer of a socket', async (t) => {
  const [a, b] = sockets.pair();
  t.teardown(() => [a, b].forEach((fd) => descriptors.close(fd)));
  const uid = process.getuid?.() ?? 0;
  t.match(peerOf(a), { kind: 'unix', group: `uid ${uid}`, uid });

  const listener = sockets.listenTcp('127.0.0.1', 0, 1);
  t.teardown(() => descriptors.close(listener));
  t.equal(peerOf(listener).kind, 'unknown', 'a socket that is not connected');
  const client = connect(sockets.localPort(listener), '127.0.0.1');
  t.teardown(() => client.destroy());
  await new Promise((resolve) => client.once('connect', resolve));
  const fd = sockets.accept(listener);
  t.teardown(() => descriptors.close(fd));
  t.match(peerOf(fd), { kind: 'tcp', group: '127.0.0.1', text: `127.0.0.1:${client.localPort}` });
});
