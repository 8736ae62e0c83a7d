// How far an opening is, in words.
import { test } from 'tap';
import { openingText } from '../../../daemon/lib/opening-progress.js';

const text = (bytes: number, total: number): string =>
  openingText({ bytes, total, layer: 2, layers: 5 });

await test('how far an opening is', (t) => {
  t.equal(text(0, 3 << 20), 'layer 2 of 5 is being read: 0 % of 3.0 MiB');
  t.equal(text((3 << 20) - 1, 3 << 20), 'layer 2 of 5 is being read: 99 % of 3.0 MiB');
  t.equal(text(5, 3), 'layer 2 of 5 is being read: 100 % of 3 bytes');
  t.equal(text(0, 0), 'layer 2 of 5 is being read: 100 % of 0 bytes');
  t.end();
});
