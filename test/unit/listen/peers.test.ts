// Who counts as one peer, and how they are counted.
import { test } from 'tap';
import { PeerCounts, peerGroup } from '../../../daemon/listen/peers.js';

await test('the group of a peer', (t) => {
  const cases: [string, string][] = [
    ['127.0.0.1:41234', '127.0.0.1'],
    ['[::1]:41234', '[::1]'],
    ['[fe80::1%eth0]:1', '[fe80::1%eth0]'],
    ['pid 123 uid 0', 'uid 0'],
    ['pid 0 uid 1000', 'uid 1000'],
    ['vsock cid 3 port 1234', 'cid 3'],
    ['unknown', 'unknown'],
  ];
  for (const [peer, group] of cases) t.equal(peerGroup(peer), group, peer);
  t.end();
});

await test('counts', (t) => {
  const counts = new PeerCounts();
  t.equal(counts.get('a'), 0);
  for (const each of ['a', 'a', 'b']) counts.add(each);
  t.match([counts.get('a'), counts.get('b')], [2, 1]);
  for (const each of ['a', 'a', 'b']) counts.remove(each);
  t.match([counts.get('a'), counts.get('b')], [0, 0]);
  t.end();
});
