// Hosts whose first byte comes later, the further a range is in a blob.
import { test } from 'tap';
import { SlowTails } from '../../../../daemon/registry/http/slow-tails.js';

const MiB = 1 << 20;

await test('told once for a host, and only if its beginnings are fast', (t) => {
  const tails = new SlowTails();
  t.equal(tails.note('h', 40 * MiB, 6000), null, 'it may be slow in everything');
  tails.note('h', 0, 700);
  t.equal(tails.note('h', 40 * MiB, 6000), null, 'it is');
  tails.note('h', 0, 30);
  t.equal(tails.note('h', 4 * MiB, 6000), null, 'not far');
  t.equal(tails.note('h', 40 * MiB, 900), null, 'not slow');
  t.match(
    tails.note('h', 40 * MiB, 5900),
    /^h needs 5.9 s .+ byte 41943040, but 30 ms .+ set slice/,
  );
  t.equal(tails.note('h', 40 * MiB, 5900), null);
  tails.note('g', 0, 30);
  t.ok(tails.note('g', 40 * MiB, 5900), 'another host');
  t.end();
});
