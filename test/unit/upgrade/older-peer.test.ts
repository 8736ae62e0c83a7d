import { test } from 'tap';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import { peerOfOlder } from '../../../daemon/upgrade/older-peer.js';

await test('older peers: a device by the id in its text, a client by its socket', (t) => {
  const [a, b] = sockets.pair();
  t.teardown(() => [a, b].forEach((fd) => descriptors.close(fd)));
  const device = '/dev/nbd12 0123456789abcdef';
  t.match(peerOfOlder(device, a), { kind: 'device', device: '0123456789abcdef', text: device });
  const uid = process.getuid?.();
  const others = [
    'pid 1 uid 4711',
    '/dev/nbd12 0123456789abcdef CN=x',
    'x /dev/nbd1 0123456789abcdef',
  ];
  for (const text of others) {
    t.match(peerOfOlder(text, a), { kind: 'unix', group: `uid ${uid}`, device: null, text });
  }
  t.end();
});
