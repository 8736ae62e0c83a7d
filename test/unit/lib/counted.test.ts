// The singular and the plural of counted nouns.
import { test } from 'tap';
import { counted } from '../../../daemon/lib/counted.js';

await test('one takes the singular', (t) => {
  t.equal(counted(1, 'layer'), '1 layer');
  t.equal(counted(1, 'entry', 'entries'), '1 entry');
  t.equal(counted(1n, 'sector'), '1 sector');
  t.end();
});

await test('every other number takes the plural', (t) => {
  t.equal(counted(0, 'layer'), '0 layers');
  t.equal(counted(2, 'layer'), '2 layers');
  t.equal(counted(0, 'entry', 'entries'), '0 entries');
  t.equal(counted(2n ** 53n + 1n, 'sector'), '9007199254740993 sectors');
  t.end();
});
