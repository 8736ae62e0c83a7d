// Who counts as one peer, how they are counted, and that a flood of refusals is a few lines.
import { test } from 'tap';
import {
  PeerCounts,
  REFUSAL_LINE_MS,
  RefusalLog,
  peerGroup,
} from '../../../daemon/service/peers.js';

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

await test('one line for a flood, and later one that counts it', (t) => {
  const lines: string[] = [];
  let now = 5;
  const log = new RefusalLog(
    { log: (level, message) => lines.push(`${level} ${message}`) },
    () => now,
  );
  for (let i = 0; i < 100; i++) log.refused('a', 'peer', 'why');
  log.refused('b', 'peer', 'else');
  t.same(lines.splice(0), ['warn peer: refused: why', 'warn peer: refused: else']);
  now += REFUSAL_LINE_MS - 1;
  log.refused('a', 'peer', 'why');
  t.same(lines, []);
  now += 1;
  log.refused('a', 'peer', 'why');
  log.refused('b', 'peer', 'else');
  t.same(lines.splice(0), [
    'warn peer: refused: why (100 more since the last such line)',
    'warn peer: refused: else',
  ]);
  t.end();
});

await test('memory is bounded, whoever comes', (t) => {
  let count = 0;
  const log = new RefusalLog({ log: () => (count += 1) }, () => 0);
  for (let i = 0; i < 5000; i++) log.refused(`peer ${i}`, 'peer', 'why');
  t.equal(count, 5000);
  log.refused('peer 4999', 'peer', 'why');
  t.equal(count, 5000, 'the latest is remembered');
  log.refused('peer 0', 'peer', 'why');
  t.equal(count, 5001, 'the first is not');
  t.end();
});
