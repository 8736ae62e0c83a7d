import { test } from 'tap';
import { PeerCounts } from '../../../daemon/listen/peer-counts.js';

await test('connections are counted for each peer', (t) => {
  const counts = new PeerCounts();
  t.equal(counts.get('a'), 0);
  for (const each of ['a', 'a', 'b']) counts.add(each);
  t.match([counts.get('a'), counts.get('b'), counts.total], [2, 1, 3]);
  for (const each of ['a', 'a', 'b']) counts.remove(each);
  t.match([counts.get('a'), counts.get('b'), counts.total], [0, 0, 0]);
  t.end();
});
